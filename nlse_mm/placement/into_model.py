"""Place plugins on what any built model returns, or behind one of its modules."""

from collections.abc import Callable, Sequence

from torch import nn

from nlse_mm.errors import ConfigError

from .check_model import check_model, check_path
from .dry_run import DryRun
from .entries import ModelEntry
from .patterns import expand_patterns
from .place import Place
from .plugged_container import CONTAINERS, PluggedContainer
from .plugged_model import PluggedModel, list_maps
from .plugged_module import append_plugin, mix_in_forward
from .plugin import build_plugin, log_plugin, unique_name

# Runs the model, and captures what the modules at some paths return.
Run = Callable[..., DryRun]


def place_in_model(
    model: nn.Module, entries: Sequence[ModelEntry], run: Run | None
) -> list[nn.Module]:
    """Add the plugins of entries with ``output`` or ``after`` to a built model.

    Args:
        model: Any that is called as it is. It keeps its parameters and their names.
        entries: Where the plugins go; those of one place run in the order written.
        run: Makes the trial run, of the modules at the paths given; None if there is
            nothing to run the model on.

    Returns:
        The plugins, in the order of the entries, and of the model below a pattern.

    Raises:
        ConfigError: For an entry that can't be placed; the model is then as it was.
    """
    check_model(model)
    entries = expand_patterns(model, entries)
    for entry in entries:
        check_path(model, entry)
    if not entries:
        return []
    found = _run(entries, run) if run else None
    if found is not None:
        _check_children(model, found)
    # Built before the model is touched: an entry that can't be placed leaves it whole.
    placed = [_build(model, entry, found) for entry in entries]
    plugged = _plug(model)
    if found is not None:
        plugged.number_of_outputs = len(list_maps(found.output))
    for place, name, plugin in placed:
        name, entry = unique_name(plugged, name), place.entry
        plugged.add_module(name, plugin)
        if entry.after is None:
            plugged.output_plugins.setdefault(place.index, []).append(name)
        else:
            plugged.after_plugins.append(name)
            append_plugin(plugged, entry.after, plugin)
        where = f"at {entry.place} of {type(plugged).__name__}"
        log_plugin(plugin, where, name, place.channels)
    return [plugin for _, _, plugin in placed]


def _run(entries: Sequence[ModelEntry], run: Run) -> DryRun:
    asked = any(entry.in_branch for entry in entries)
    paths = {entry.after for entry in entries if entry.after is not None}
    return run(paths, finds_branches=asked)


def _check_children(model: nn.Module, run: DryRun) -> None:
    if run.runs_children:
        children = [repr(name) for name, _ in model.named_children()]
        raise ConfigError(
            f"{type(model).__name__} runs all its children one after the other, and a "
            "plugin would be one of them: add the plugins to a child that holds the "
            f"place, of {', '.join(children)}"
        )


def _build(
    model: nn.Module, entry: ModelEntry, run: DryRun | None
) -> tuple[Place, str, nn.Module]:
    place = Place(entry, model, run)
    name, plugin = build_plugin(entry.cfg, place.channels, entry.key)
    name += place.suffix
    if isinstance(model, PluggedModel) and name in model.plugin_names():
        raise ConfigError(
            f"{entry.key}: {type(model).__name__} has a plugin {name!r} already; "
            "postfix= in cfg gives one more there a name of its own"
        )
    place.fit(plugin)
    return place, name, plugin


def _plug(model: nn.Module) -> PluggedModel:
    if isinstance(model, PluggedModel):
        return model
    is_container = isinstance(model, CONTAINERS)
    mixin = PluggedContainer if is_container else PluggedModel
    plugged = mix_in_forward(model, mixin)
    plugged.output_plugins, plugged.after_plugins = {}, []
    plugged.number_of_outputs = None
    return plugged
