"""Check a plugin's config, build the plugin, and name it."""

import inspect
import logging
from typing import Any

from mmcv.cnn import build_plugin_layer
from mmengine.logging import print_log
from torch import nn

from nlse_mm.arguments import is_meant, is_registered, near_names, refusal
from nlse_mm.errors import ArgumentError, ConfigError
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import why_broken


def check_plugin(cfg: Any, key: str) -> None:
    """Raise ConfigError for a ``cfg`` that doesn't define which plugin to build.

    Args:
        cfg: What a plugin entry has under ``cfg``.
        key: Where the entry stands, such as ``plugins[0]``.
    """
    if not isinstance(cfg, dict) or "type" not in cfg:
        raise ConfigError(
            f"{key}: cfg={cfg!r} is not a dict with a 'type', such as "
            "dict(type='nlse_mm.NonLocal2d')"
        )
    kind, postfix = cfg["type"], cfg.get("postfix", "")
    if isinstance(postfix, bool) or not isinstance(postfix, int | str):
        raise ConfigError(
            f"{key}: postfix={postfix!r} is not a string or an integer, such as '_2'"
        )
    if "." in str(postfix):
        raise ConfigError(
            f"{key}: postfix={postfix!r} has a dot; a module's name can't"
        )
    if "in_channels" in cfg:
        raise ConfigError(
            f"{key}: in_channels={cfg['in_channels']!r}: a plugin's channels are those "
            "of its place; leave the key out"
        )
    scope, dot, _ = kind.partition(".") if isinstance(kind, str) else ("", "", "")
    if dot and (why := why_broken(scope, "MODELS")):
        raise ConfigError(f"{key}: type={kind!r} is not to be had: {why}")
    # A class itself may stand in place of its name.
    is_name = isinstance(kind, str) and is_registered(kind)
    if not is_name and not inspect.isclass(kind):
        ours = [f"nlse_mm.{name}" for name in plugin_types()]
        near = near_names(str(kind), ours, otherwise=False)
        raise ConfigError(
            f"{key}: type={kind!r} is not a registered plugin{near}; nlse_mm has "
            f"{', '.join(map(repr, ours))}, and MMCV's 'NonLocal2d', 'ContextBlock' "
            "and others go as well"
        )


def plugin_types() -> list[str]:
    """Return the names of the plugins that nlse_mm registers."""
    MODELS.import_from_location()
    return [n for n, c in MODELS.module_dict.items() if hasattr(c, "_abbr_")]


def build_plugin(
    cfg: dict[str, Any], in_channels: int, key: str
) -> tuple[str, nn.Module]:
    """Build a plugin by the name in ``cfg['type']``.

    Returns:
        What to call it, and the plugin.

    Raises:
        ConfigError: If its arguments are wrong. What its own code does wrong, an
            exception that no ``raise`` threw, goes through as it is.
    """
    cfg = dict(cfg)  # MMCV's builder writes into what it is given
    postfix = cfg.pop("postfix", "")
    try:
        return build_plugin_layer(cfg, postfix, in_channels=in_channels)
    except ArgumentError as error:
        raise ConfigError(f"{key}: {error}") from error
    except (ImportError, TypeError, ValueError) as error:
        # A fault of the plugin's own code keeps its traceback; a refusal needs none.
        if not is_meant(error):
            raise
        raise ConfigError(f"{key}: cfg={cfg}: {error}") from error
    except Exception as error:
        reason = refusal(error, cfg)
        if reason is None:
            raise
        raise ConfigError(f"{key}: {cfg['type']} refuses {reason}") from error


def unique_name(parent: nn.Module, name: str) -> str:
    """Return ``name``, or ``name_2`` and so on where ``parent`` has that already."""
    unique, number = name, 1
    while hasattr(parent, unique):
        number += 1
        unique = f"{name}_{number}"
    return unique


def log_plugin(plugin: nn.Module, where: str, name: str, channels: int) -> None:
    """Log where a plugin was placed, its name and its channels."""
    print_log(
        f"plugin {type(plugin).__name__} {where}: {name}, {channels} channels",
        logger="current",
    )


def warn_of_no_plugin(key: str, setting: str) -> None:
    """Log that a plugin entry places nothing, because of ``setting``."""
    print_log(
        f"{key}: {setting} places no plugin", logger="current", level=logging.WARNING
    )
