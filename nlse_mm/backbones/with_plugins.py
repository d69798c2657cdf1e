"""Plugins in any backbone or neck: on a map that it returns, or after a module."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmcv.cnn import is_norm
from mmengine.logging import print_log
from torch import nn

from nlse_mm.arguments import CONFIGS, build_stock, checked, fits
from nlse_mm.errors import ConfigError
from nlse_mm.placement.dry_run import DryRun
from nlse_mm.placement.entries import Entries, check_is_list, check_keys, check_plugin
from nlse_mm.placement.mixin import mix_in, return_itself
from nlse_mm.placement.plugged_backbone import build_plugin
from nlse_mm.placement.plugged_model import (
    PluggedModel,
    PluggedModule,
    list_maps,
    map_of,
)
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import backbone_class

from .factory import factory

# What models call the channels of their input; the last is Feature2Pyramid's.
IN_CHANNELS = ("in_channels", "in_chans", "embed_dim")


@MODELS.register_module()
@factory
@checked(itself=("base", *CONFIGS))
def WithPlugins(*, base: str, plugins: Entries, **kwargs: Any) -> nn.Module:  # noqa: N802
    """Any backbone or neck, with plugins on its outputs or after its modules.

    The result is an instance of the base's class, and its parameters keep their names.
    A plugin is a child of the model, named by its place: ``nonlocal_block_output2``, or
    ``nonlocal_block_after_layer3_4``; a second one of its type there ends in ``_2``.
    Its ``in_channels`` is found by a trial run on a small input.

    Args:
        base: The registered name, of the active toolbox (``'SwinTransformer'``) or with
            its scope (``'mmpretrain.ConvNeXt'``).
        plugins: Lines of ``cfg`` and one of two places: ``output``, the index of a
            feature map among those that the base returns; or ``after``, the path of a
            module, such as ``'layer3.4'``, on whose output the plugin then runs. Lines
            of one place run in the order written.
        kwargs: The base's arguments.

    Raises:
        KeyError: If there is no such base.
        ValueError: If ``base`` is not a name, or ``plugins`` is not a list.
        ValueError: For a line that can't be placed: a path that doesn't exist, that the
            model doesn't run or runs more than once, a norm layer or a convolution
            (fusing and SyncBN conversion replace those), an output that doesn't exist
            or isn't (N, C, H, W).

    Example:
        >>> from nlse_mm.backbones import WithPlugins
        >>> backbone = WithPlugins(base='SwinTransformer', plugins=[
        ...     dict(cfg=dict(type='nlse_mm.NonLocal2d'), output=2)])
        >>> type(backbone).__name__, backbone.nonlocal_block_output2.in_channels
        ('PluggedSwinTransformer', 384)
    """
    if not isinstance(base, str):
        raise ConfigError(f"base={base!r} is not a name, such as 'SwinTransformer'")
    check_is_list(plugins, "[dict(cfg=dict(type='nlse_mm.NonLocal2d'), output=2)]")
    lines = [Place.parse(line, f"plugins[{i}]") for i, line in enumerate(plugins)]
    # A base's arguments may mean anything: only its own signature says what.
    name = f"nlse_mm.WithPlugins(base={base!r})"
    model = build_stock(name, backbone_class(base), (), kwargs, hints={})
    for line in lines:
        line.check(model)
    if lines:
        _place(model, lines, kwargs)
    else:
        return_itself(model)
    return model


@dataclass(frozen=True)
class Place:
    """One entry of ``plugins``: what to build, and where it goes.

    Args:
        cfg: The plugin's config.
        key: What to call the line in an error.
        output: The index of a returned map; None with ``after``.
        after: The path of a module; None with ``output``.
    """

    cfg: dict[str, Any]
    key: str
    output: int | None = None
    after: str | None = None

    @classmethod
    def parse(cls, line: dict[str, Any], key: str) -> "Place":
        """Make one from a config's dict; ValueError for what means nothing."""
        allowed = ("cfg", "output", "after")
        check_keys(line, key, allowed, required=("cfg",))
        cfg, output, after = (line.get(name) for name in allowed)
        check_plugin(cfg, key)
        if (output is None) == (after is None):
            raise ConfigError(
                f"{key}: output={output!r} and after={after!r}: a line has exactly one "
                "of the two"
            )
        if output is not None and not fits(output, int):
            raise ConfigError(f"{key}: output={output!r} is not an integer, such as 2")
        if after is not None and not isinstance(after, str):
            raise ConfigError(f"{key}: after={after!r} is not a path like 'layer3.4'")
        return cls(cfg, key, output, after)

    @property
    def written(self) -> str:
        """The place as the config has it."""
        if self.after is None:
            return f"output={self.output}"
        return f"after={self.after!r}"

    def suffix(self, number_of_outputs: int) -> str:
        """What the plugin's name ends in."""
        if self.after is None:
            return f"_output{self.output % number_of_outputs}"
        return f"_after_{self.after.replace('.', '_')}"

    def check(self, model: nn.Module) -> None:
        """ValueError for an ``after`` where no plugin can go."""
        if self.after is None:
            return
        modules = dict(model.named_modules())
        if not self.after or self.after not in modules:
            # What holds others; an activation that a block runs twice is no place.
            holders = {n: m for n, m in modules.items() if n and m._modules}
            names = [n for n, m in holders.items() if not _is_replaced(m)]
            lower = {name.lower(): name for name in names}
            near = difflib.get_close_matches(self.after.lower(), lower, n=4, cutoff=0.4)
            near = [lower[n] for n in near] or [n for n in names if "." not in n]
            raise ConfigError(
                f"{self.key}: {self.written} is not the path of a module of "
                f"{type(model).__name__}; near it are "
                f"{', '.join(map(repr, near)) or 'none'}"
            )
        module = modules[self.after]
        if _is_replaced(module):
            raise ConfigError(
                f"{self.key}: {self.written} is a {type(module).__name__}; norm layers "
                "and convolutions are replaced when they are fused or converted, so "
                "take the module that holds it, or another one after it"
            )


def _place(model: nn.Module, lines: list[Place], kwargs: dict[str, Any]) -> None:
    run = DryRun(
        model,
        {line.after for line in lines if line.after is not None},
        next((kwargs[name] for name in IN_CHANNELS if name in kwargs), None),
        _pair(kwargs.get("img_size")),
    )
    maps = list_maps(run.output)
    placed = []
    for line in lines:
        channels = _channels(line, run, maps, type(model).__name__)
        name, plugin = build_plugin(line.cfg, channels, line.key)
        placed.append((line, name, plugin, channels))
    mix_in(model, PluggedModel)
    model.output_plugins, model.after_plugins = {}, []
    model.number_of_outputs = len(maps)
    for line, name, plugin, channels in placed:
        name = _unique(model, name + line.suffix(len(maps)))
        model.add_module(name, plugin)
        if line.after is None:
            index = line.output % len(maps)
            model.output_plugins.setdefault(index, []).append(name)
        else:
            model.after_plugins.append(name)
            _append(model.get_submodule(line.after), plugin)
        print_log(
            f"plugin {type(plugin).__name__} at {line.written} of "
            f"{type(model).__name__}: {name}, {channels} channels",
            logger="current",
        )


def _channels(line: Place, run: DryRun, maps: list[Any], model: str) -> int:
    if line.after is None:
        if not -len(maps) <= line.output < len(maps):
            raise ConfigError(
                f"{line.key}: {line.written}, but {model} returns {len(maps)} maps, "
                f"{-len(maps)} to {len(maps) - 1}"
            )
        out = map_of(maps[line.output])
    else:
        returned = run.returned[line.after]
        if len(returned) != 1:
            raise ConfigError(
                f"{line.key}: the module at {line.written} is called {len(returned)} "
                f"times in a forward pass of {model} in evaluation mode; a plugin goes "
                "after one that is called once"
            )
        out = returned[0]
    wrong = run.why_not_nchw(out)
    if wrong:
        hint = "" if line.after is None else "; the maps that output= takes may be"
        raise ConfigError(
            f"{line.key}: what {model} gives at {line.written} is {wrong}, not a map "
            f"of shape (N, C, H, W){hint}"
        )
    return out.shape[1]


def _append(module: nn.Module, plugin: nn.Module) -> None:
    if not isinstance(module, PluggedModule):
        mix_in(module, PluggedModule)
        module.plugins_after = ()
    module.plugins_after += (plugin,)


def _unique(model: nn.Module, name: str) -> str:
    unique, number = name, 1
    while hasattr(model, unique):
        number += 1
        unique = f"{name}_{number}"
    return unique


def _is_replaced(module: nn.Module) -> bool:
    """A norm layer or a convolution; MMCV's deformable ones have another base class."""
    weight = module._parameters.get("weight")
    return is_norm(module) or (weight is not None and weight.dim() > 2)


def _pair(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else tuple(size)[:2]
