"""Place plugin lines in a built ResNet, and keep its plugins trainable."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmcv.cnn import build_plugin_layer
from mmengine.logging import print_log
from torch import nn

from nlse_mm.registry import MODELS, why_broken

from .mixin import mix_in, return_itself
from .plugin_line import PluginLine, check_is_list
from .residual_block import PluggedBlock, add_plugin, channels_at, positions_of


class PluggedTrunk:
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


def place_plugins(trunk: nn.Module, lines: Sequence[dict[str, Any]]) -> None:
    """Build the plugins of ``lines`` into ``trunk``, a ResNet of either toolbox.

    Nothing of the trunk is renamed. Each placed plugin is logged in one line.

    Raises:
        ValueError: For a line that can't be placed; it names the key and the value.
    """
    check_is_list(
        lines, "[dict(cfg=dict(type='nlse_mm.NonLocal2d'), position='after_block')]"
    )
    stages = [getattr(trunk, name) for name in trunk.res_layers]
    for number, config in enumerate(lines):
        key = f"plugins[{number}]"
        line = PluginLine.parse(config, key)
        for stage, index in line.block_indices([len(s) for s in stages]):
            block = stages[stage][index]
            if line.position not in positions_of(block):
                raise ValueError(
                    f"{key}: position={line.position!r} is not one of the positions "
                    f"of this backbone's blocks, {positions_of(block)}"
                )
            channels = channels_at(block, line.position)
            name, plugin = build_plugin(line.cfg, channels, key)
            name = add_plugin(block, line.position, name, plugin)
            print_log(
                f"plugin {type(plugin).__name__} {line.position} in block {index} of "
                f"{len(stages[stage])} of res{stage + 2}: "
                f"{trunk.res_layers[stage]}.{index}.{name}, {channels} channels",
                logger="current",
            )
    if lines:
        mix_in(trunk, PluggedTrunk)
    else:
        return_itself(trunk)


def build_plugin(
    cfg: dict[str, Any], in_channels: int, key: str
) -> tuple[str, nn.Module]:
    """Build a plugin by the name in ``cfg['type']``.

    Returns:
        What to call it, and the plugin.

    Raises:
        ValueError: If no registry has that name, its toolbox can't be imported, or its
            arguments are wrong.
    """
    cfg = dict(cfg)
    postfix = cfg.pop("postfix", "")
    kind = cfg["type"]
    scope, dot, _ = kind.partition(".") if isinstance(kind, str) else ("", "", "")
    if dot and (why := why_broken(scope, "MODELS")):
        raise ValueError(f"{key}: type={kind!r} is not to be had: {why}")
    try:
        return build_plugin_layer(cfg, postfix, in_channels=in_channels)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(f"{key}: cfg={cfg}: {error}") from error
    except (KeyError, RuntimeError) as error:
        if _is_registered(cfg["type"]):
            raise
        ours = ", ".join(f"'nlse_mm.{name}'" for name in plugin_types())
        raise ValueError(
            f"{key}: type={cfg['type']!r} is not a registered plugin; nlse_mm has "
            f"{ours}, and MMCV's 'NonLocal2d', 'ContextBlock' and others go as well"
        ) from error


def plugin_types() -> list[str]:
    """Names of the plugins that nlse_mm registers."""
    MODELS.import_from_location()
    return [n for n, c in MODELS.module_dict.items() if hasattr(c, "_abbr_")]


def _is_registered(name: object) -> bool:
    if not isinstance(name, str):
        return True
    with MODELS.switch_scope_and_registry(None) as registry:
        try:
            return registry.get(name) is not None
        except RuntimeError:
            return False


@contextmanager
def _trainable_as_before(modules: Sequence[nn.Module]) -> Iterator[None]:
    wanted = [(p, p.requires_grad) for m in modules for p in m.parameters()]
    yield
    for parameter, requires_grad in wanted:
        parameter.requires_grad = requires_grad


def _loads_weights(init_cfg: dict | list[dict] | None) -> bool:
    configs = init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]
    return any(c.get("type") == "Pretrained" for c in configs)
