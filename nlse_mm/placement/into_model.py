"""Place plugins on what any built model returns, or behind one of its modules."""

import difflib
from collections.abc import Sequence
from typing import Any, cast

from mmcv.cnn import is_norm
from torch import nn

from nlse_mm.errors import ConfigError

from .dry_run import DryRun
from .entries import ModelEntry
from .mixin import mix_in, return_itself
from .plugged_model import PluggedModel, PluggedModule, list_maps, map_of
from .plugin import build_plugin, log_plugin, unique_name


def place_in_model(
    model: nn.Module,
    entries: Sequence[ModelEntry],
    in_channels: int | Sequence[int] | None = None,
    img_size: tuple[int, int] | None = None,
) -> None:
    """Add the plugins of entries with ``output`` or ``after`` to a built model.

    Args:
        model: A backbone or neck. It keeps its parameters and their names.
        entries: Where the plugins go; those of one place run in the order written.
        in_channels: Of the model's input, as in :class:`~.dry_run.DryRun`.
        img_size: A size (H, W) in pixels that the model insists on.

    Raises:
        ConfigError: For an entry that can't be placed.
    """
    for entry in entries:
        _check_path(model, entry)
    if not entries:
        return_itself(model)
        return
    paths = {entry.after for entry in entries if entry.after is not None}
    run = DryRun(model, paths, in_channels, img_size)
    maps = list_maps(run.output)
    # Built before the model is touched: an entry that can't be placed leaves it whole.
    placed = []
    for entry in entries:
        channels = _channels(entry, run, maps, type(model).__name__)
        name, plugin = build_plugin(entry.cfg, channels, entry.key)
        placed.append((entry, name, plugin, channels))
    plugged = mix_in(model, PluggedModel)
    plugged.output_plugins, plugged.after_plugins = {}, []
    plugged.number_of_outputs = len(maps)
    for entry, name, plugin, channels in placed:
        name = unique_name(plugged, name + entry.suffix(len(maps)))
        plugged.add_module(name, plugin)
        if entry.output is not None:
            index = entry.output % len(maps)
            plugged.output_plugins.setdefault(index, []).append(name)
        elif entry.after is not None:
            plugged.after_plugins.append(name)
            _append(plugged.get_submodule(entry.after), plugin)
        where = f"at {entry.place} of {type(plugged).__name__}"
        log_plugin(plugin, where, name, channels)


def _check_path(model: nn.Module, entry: ModelEntry) -> None:
    """Raise ConfigError for an ``after`` where no plugin can go."""
    if entry.after is None:
        return
    modules = dict(model.named_modules())
    if not entry.after or entry.after not in modules:
        # What holds others; an activation that a block runs twice is no place.
        holders = {n: m for n, m in modules.items() if n and m._modules}
        names = [n for n, m in holders.items() if not _is_replaced(m)]
        lower = {name.lower(): name for name in names}
        near = difflib.get_close_matches(entry.after.lower(), lower, n=4, cutoff=0.4)
        near = [lower[n] for n in near] or [n for n in names if "." not in n]
        raise ConfigError(
            f"{entry.key}: {entry.place} is not the path of a module of "
            f"{type(model).__name__}; near it are "
            f"{', '.join(map(repr, near)) or 'none'}"
        )
    module = modules[entry.after]
    if _is_replaced(module):
        raise ConfigError(
            f"{entry.key}: {entry.place} is a {type(module).__name__}; norm layers and "
            "convolutions are replaced when they are fused or converted, so take the "
            "module that holds it, or another one after it"
        )


def _channels(entry: ModelEntry, run: DryRun, maps: list[Any], model: str) -> int:
    if entry.output is not None:
        if not -len(maps) <= entry.output < len(maps):
            raise ConfigError(
                f"{entry.key}: {entry.place}, but {model} returns {len(maps)} maps, "
                f"{-len(maps)} to {len(maps) - 1}"
            )
        out = map_of(maps[entry.output])
    else:
        returned = run.returned[cast("str", entry.after)]  # one of the two is given
        if len(returned) != 1:
            raise ConfigError(
                f"{entry.key}: the module at {entry.place} is called {len(returned)} "
                f"times in a forward pass of {model} in evaluation mode; a plugin goes "
                "after one that is called once"
            )
        out = returned[0]
    wrong = run.why_not_nchw(out)
    if wrong:
        hint = "" if entry.after is None else "; the maps that output= takes may be"
        raise ConfigError(
            f"{entry.key}: what {model} gives at {entry.place} is {wrong}, not a map "
            f"of shape (N, C, H, W){hint}"
        )
    return out.shape[1]  # C of (N, C, H, W)


def _append(module: nn.Module, plugin: nn.Module) -> None:
    if not isinstance(module, PluggedModule):
        module = mix_in(module, PluggedModule)
        module.plugins_after = ()
    module.plugins_after = (*module.plugins_after, plugin)


def _is_replaced(module: nn.Module) -> bool:
    """Return whether it is a norm layer or a convolution, a deformable one as well."""
    weight = module._parameters.get("weight")
    return is_norm(module) or (weight is not None and weight.dim() > 2)
