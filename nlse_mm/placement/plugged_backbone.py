"""Place plugin lines in a built ResNet, and keep its plugins trainable."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmcv.cnn import build_plugin_layer
from mmengine.logging import print_log
from torch import nn

from nlse_mm.arguments import is_meant, refusal
from nlse_mm.errors import ArgumentError, ConfigError

from .entries import Entries, parse_entries
from .mixin import mix_in, return_itself
from .residual_block import PluggedBlock, add_plugin, channels_at, positions_of


class PluggedBackbone:
    """Mixed into a backbone that has plugins.

    The backbone freezes stages and puts norm layers in eval mode; its plugins are new
    layers that have to learn, and stay out of both. It initialises everything below it;
    each plugin's own ``init_weights`` has the last word.
    """

    def plugin_modules(self) -> list[nn.Module]:
        """All the plugins, in the order of the blocks."""
        return [
            plugin
            for module in self.modules()
            if isinstance(module, PluggedBlock)
            for plugin in module.plugin_modules()
        ]

    def init_weights(self) -> None:
        """As the backbone's own; then the plugins', unless weights were loaded.

        MMEngine's calls the plugins' too, but some backbones (PIDNet) have one of their
        own, which doesn't, and which starts every norm layer at one. A plain module has
        none.
        """
        first_time = not getattr(self, "is_init", False)
        if hasattr(super(), "init_weights"):
            super().init_weights()
        if first_time and not _loads_weights(getattr(self, "init_cfg", None)):
            for plugin in self.plugin_modules():
                if hasattr(plugin, "init_weights"):
                    plugin.init_weights()

    def train(self, mode: bool = True) -> nn.Module:
        """As the backbone's own; plugins train in frozen stages too."""
        with _trainable_as_before(self.plugin_modules()):
            super().train(mode)
        for plugin in self.plugin_modules():
            plugin.train(mode)
        return self

    def _freeze_stages(self) -> None:
        with _trainable_as_before(self.plugin_modules()):
            super()._freeze_stages()


def place_plugins(backbone: nn.Module, lines: Entries | None) -> None:
    """Build the plugins of ``lines`` into ``backbone``, a ResNet of either toolbox.

    Nothing of the backbone is renamed. Each placed plugin is logged in one line.

    Raises:
        ValueError: For a line that can't be placed; it names the key and the value.
    """
    stages = [getattr(backbone, name) for name in backbone.res_layers]
    for line in parse_entries(lines):
        key = line.key
        places = line.block_indices([len(s) for s in stages])
        if not places:
            print_log(
                f"{key}: stages={line.stages!r} and blocks={line.blocks!r} place no "
                "plugin",
                logger="current",
                level=logging.WARNING,
            )
        for stage, index in places:
            block = stages[stage][index]
            if line.position not in positions_of(block):
                raise ConfigError(
                    f"{key}: position={line.position!r} is not one of the positions "
                    f"of this backbone's blocks, {positions_of(block)}"
                )
            channels = channels_at(block, line.position)
            name, plugin = build_plugin(line.cfg, channels, key)
            name = add_plugin(block, line.position, name, plugin)
            print_log(
                f"plugin {type(plugin).__name__} {line.position} in block {index} of "
                f"{len(stages[stage])} of res{stage + 2}: "
                f"{backbone.res_layers[stage]}.{index}.{name}, {channels} channels",
                logger="current",
            )
    if lines:
        mix_in(backbone, PluggedBackbone)
    else:
        return_itself(backbone)


def build_plugin(
    cfg: dict[str, Any], in_channels: int, key: str
) -> tuple[str, nn.Module]:
    """Build a plugin by the name in ``cfg['type']``.

    Returns:
        What to call it, and the plugin.

    Raises:
        ValueError: If its arguments are wrong. What its own code does wrong, an
            exception that no ``raise`` threw, goes through as it is.
    """
    cfg = dict(cfg)
    postfix = cfg.pop("postfix", "")
    try:
        return build_plugin_layer(cfg, postfix, in_channels=in_channels)
    except ArgumentError as error:
        raise ConfigError(f"{key}: {error}") from error
    except (ImportError, TypeError, ValueError) as error:
        if not is_meant(error):
            raise
        raise ConfigError(f"{key}: cfg={cfg}: {error}") from error
    except Exception as error:
        said = refusal(error, cfg)
        if said is None:
            raise
        raise ConfigError(f"{key}: {cfg['type']} refuses {said}") from error


@contextmanager
def _trainable_as_before(modules: Sequence[nn.Module]) -> Iterator[None]:
    wanted = [(p, p.requires_grad) for m in modules for p in m.parameters()]
    yield
    for parameter, requires_grad in wanted:
        parameter.requires_grad = requires_grad


def _loads_weights(init_cfg: dict | list[dict] | None) -> bool:
    configs = init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]
    return any(c.get("type") == "Pretrained" for c in configs)
