"""Whether a checkpoint is of this model: how many of the keys match."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import nn

from .local_loader import CheckpointError

# Less than this share of the keys, and it is another model. Another number of classes
# leaves 98% of Mask R-CNN R50's keys as they are, R101 for R50 leaves 55%.
_SHARE = 0.9


def check_coverage(
    model: nn.Module,
    state_dict: Mapping[str, Any],
    path: str,
    *,
    testing: bool = False,
) -> None:
    """Log how many keys of ``model`` the checkpoint fills; refuse another model's.

    A key matches if both have it in the same shape. Keys of plugins that the checkpoint
    knows nothing of are left out of the count (a baseline's checkpoint in a model with
    plugins), as are BatchNorm's counters of batches. The rule: a checkpoint is another
    model's if

    - it has no key at all of a top-level part (backbone, neck, head) of the model (in
      a test: of a part one level down, such as roi_head.keypoint_head), or
    - fewer than 90% of the model's keys match, or
    - fewer than 90% of the checkpoint's keys match (R101's hold all of R50's).

    Args:
        model: The built model, wrapped for distributed training or not.
        state_dict: The weights, or the checkpoint that holds them.
        path: The checkpoint's name, for the messages.
        testing: Refuse the lack of one head among several, and keys in another shape,
            such as a head's for another number of classes: nothing would train what
            they leave at random.

    Raises:
        CheckpointError: If it is another model's.
    """
    if is_model_wrapper(model):
        model = model.module
    state_dict = state_dict.get("state_dict", state_dict)
    given = _shapes({k.removeprefix("module."): v for k, v in state_dict.items()})
    own = _shapes(model.state_dict())
    plugins = _new_plugins(model, given)
    trunk = {k: s for k, s in own.items() if not k.startswith(tuple(plugins))}
    fitting = [k for k, shape in trunk.items() if given.get(k, ...) == shape]
    depth = 2 if testing else 1
    absent = {_part(k, depth) for k in trunk} - {_part(k, depth) for k in given}

    count = f"{len(fitting)} of the model's {len(trunk)} keys"
    if absent or len(fitting) < _SHARE * max(len(trunk), len(given)):
        nothing_of = f"; it has nothing of {_listing(absent)}" if absent else ""
        raise CheckpointError(
            f"{path} is a checkpoint of another model: {count} match, and "
            f"{len(fitting)} of its own {len(given)}{nothing_of} (weights of a "
            "backbone alone belong in model.backbone.init_cfg)"
        )
    reshaped = sorted(trunk.keys() & given.keys() - set(fitting))
    if testing and reshaped:
        key = reshaped[0]
        raise CheckpointError(
            f"{path} is of a model with another number of classes or channels: its "
            f"{key} is {tuple(given[key])}, the model's is {tuple(own[key])}"
        )
    print_log(f"{path}: {count} match", logger="current")
    if plugins:
        keys = Counter(
            next(p for p in plugins if k.startswith(p))
            for k in own.keys() - trunk.keys()
        )
        listed = _listing(f"{name[:-1]} ({n} keys)" for name, n in keys.items())
        print_log(f"{path} knows nothing of these plugins: {listed}", logger="current")
    _warn(path, "has no", trunk.keys() - given.keys())
    _warn(path, "has in another shape", reshaped)
    _warn(path, "has, which the model lacks:", given.keys() - own.keys())


def _shapes(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: getattr(value, "shape", None)
        for key, value in state_dict.items()
        if not key.endswith("num_batches_tracked")
    }


def _new_plugins(model: nn.Module, given: Mapping[str, Any]) -> list[str]:
    """Prefixes of the plugins of which the checkpoint has no key.

    MMCV names a plugin by its class's ``_abbr_``; a ConvModule has one too, but is no
    plugin under another name.
    """
    prefixes = [
        f"{name}."
        for name, module in model.named_modules()
        if name.rpartition(".")[2].startswith(getattr(module, "_abbr_", name + " "))
    ]
    return [p for p in prefixes if not any(key.startswith(p) for key in given)]


def _part(key: str, depth: int) -> str:
    return ".".join(key.split(".")[:depth])


def _warn(path: str, what: str, keys: Iterable[str]) -> None:
    if keys:
        print_log(
            f"{path} {what} {_listing(keys)}", logger="current", level=logging.WARNING
        )


def _listing(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
