"""Check, before anything is run or changed, whether plugins can go into a model."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from nlse_mm.errors import ConfigError

from .entries import ModelEntry
from .plugged_module import GENERATED, is_replaced

# By name, as importing torch.compile's takes seconds.
_WRAPPERS = {"DistributedDataParallel", "OptimizedModule"}
# Their copies or shards of a model are not what runs its plugins.
_UNSUPPORTED = {"DataParallel", "FullyShardedDataParallel"}


def check_model(model: nn.Module) -> None:
    """Raise ConfigError unless plugins can be children of ``model``."""
    name = type(model).__name__
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model is of class {name}, not an nn.Module")
    classes = {cls.__name__ for cls in type(model).__mro__}
    if _UNSUPPORTED & classes:
        raise ConfigError(
            f"model is of class {name}, in which models with plugins are not "
            "supported: add the plugins to the model in it, and wrap that in "
            "DistributedDataParallel"
        )
    if _WRAPPERS & classes:
        raise ConfigError(
            f"model is of class {name}: add the plugins to the model in it, before it "
            "is wrapped"
        )
    if isinstance(model, GENERATED):
        raise ConfigError(
            f"model is of class {name}, whose code is generated: add the plugins "
            "before it is traced or scripted"
        )
    # Such as Ultralytics' YOLO, whose train() is a training.
    if not _sets_mode(model.train):
        held = [repr(n) for n, _ in model.named_children()]
        raise ConfigError(
            f"model is of class {name}, whose train() sets no mode: add the plugins to "
            f"the model in it, which may be its attribute {' or '.join(held)}"
        )


def _sets_mode(train: Callable[..., Any]) -> bool:
    takes = inspect.signature(train).parameters.values()
    return any(p.name == "mode" or p.kind is p.VAR_POSITIONAL for p in takes)


def check_path(model: nn.Module, entry: ModelEntry) -> None:
    """Raise ConfigError for an ``after`` where no plugin can go."""
    if entry.after is None:
        return
    # A shared module has several paths.
    modules = dict(model.named_modules(remove_duplicate=False))
    if not entry.after or entry.after not in modules:
        raise ConfigError(
            f"{entry.key}: {entry.place} is not the path of a module of "
            f"{type(model).__name__}; near it are "
            f"{', '.join(map(repr, _near(entry.after, modules))) or 'none'}"
        )
    module = modules[entry.after]
    if is_replaced(module):
        raise ConfigError(
            f"{entry.key}: {entry.place} is a {type(module).__name__}; norm layers and "
            "convolutions are replaced when they are fused or converted, so take the "
            "module that holds it, or another one after it"
        )
    if not _is_called(module):
        raise ConfigError(
            f"{entry.key}: {entry.place} is a {type(module).__name__}, which holds "
            "modules and is never called itself; take one of those in it"
        )
    if isinstance(module, GENERATED):
        raise ConfigError(
            f"{entry.key}: {entry.place} is a {type(module).__name__}, whose code is "
            "generated; take the module that holds it, or another one after it"
        )


def _near(path: str, modules: dict[str, nn.Module]) -> list[str]:
    """Return the paths like ``path`` that are places; else those at the top."""
    # What holds others; an activation that a block runs twice is no place.
    holders = {n: m for n, m in modules.items() if n and m._modules}
    names = [n for n, m in holders.items() if not is_replaced(m) and _is_called(m)]
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(path.lower(), lower, n=4, cutoff=0.4)
    return [lower[n] for n in near] or [n for n in names if "." not in n]


def _is_called(module: nn.Module) -> bool:
    return "forward" in vars(module) or type(module).forward is not nn.Module.forward
