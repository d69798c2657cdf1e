"""Find the weights in a checkpoint, under the names that a model has for them."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from nlse_mm.errors import CheckpointError

# What DistributedDataParallel and torch.compile put into the keys of what they wrap.
_WRAPPERS = ("module", "_orig_mod")
_DEPTH = 2  # how far down weights are searched for, to name where they are


def weights_of(
    checkpoint: Mapping[str, Any], path: str, own: Collection[str] | None = None
) -> "OrderedDict[str, Any]":
    """Return the weights of a checkpoint, without the prefixes of wrappers.

    Dicts beside bare weights (the optimizer's state) are left out; the versions that
    PyTorch keeps in ``_metadata`` stay.

    Args:
        checkpoint: What was loaded: with its weights under ``state_dict``, or bare.
        path: The checkpoint's name, for the messages.
        own: The model's keys, if there is one. A key that holds ``module.`` itself is
            found with and without it, and a model without keys needs no weights.

    Raises:
        CheckpointError: If there are no weights where MMEngine expects them.
    """
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(
            f"{path} is not a checkpoint: it holds a {type(checkpoint).__name__}, not "
            "a dict of weights"
        )
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping):
        raise CheckpointError(
            f"{path} holds no weights: its state_dict is a {type(weights).__name__}, "
            "not a dict of weights"
        )
    if not _holds_tensors(weights) and (own is None or own):
        raise CheckpointError(_why_none(checkpoint, weights, path))
    exact = set(own or ())
    names = {without_wrappers(key): key for key in exact}
    renamed: OrderedDict[str, Any] = OrderedDict()
    for key, value in weights.items():
        if isinstance(key, str) and not isinstance(value, Mapping):
            bare = without_wrappers(key)
            renamed[key if key in exact else names.get(bare, bare)] = value
    versions = getattr(weights, "_metadata", {})
    bare_versions = {without_wrappers(key): value for key, value in versions.items()}
    vars(renamed)["_metadata"] = OrderedDict(bare_versions | versions)
    return renamed


def without_wrappers(key: str) -> str:
    """Return a key, or a prefix of keys, without the parts that wrappers added."""
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _holds_tensors(weights: Mapping[str, Any]) -> bool:
    return any(
        isinstance(key, str) and torch.overrides.is_tensor_like(value)
        for key, value in weights.items()
    )


def _why_none(checkpoint: Any, weights: Mapping[str, Any], path: str) -> str:
    """Return the sentence for a checkpoint without weights where they belong."""
    where = list(_nested(checkpoint, _DEPTH))
    if where:
        under = " and ".join(".".join(keys) for keys in where)
        subscript = "".join(f"[{key!r}]" for key in where[0])
        return (
            f"{path} keeps its weights under {under}, and MMEngine expects them "
            "under state_dict: save them as dict(state_dict=torch.load(...)"
            f"{subscript})"
        )
    what = "its state_dict" if weights is not checkpoint else "it"
    if not weights:
        return f"{path} holds no weights: {what} is empty"
    key, value = next(iter(weights.items()))
    if not isinstance(key, str):
        return f"{path} holds no weights: {what} has {key!r} as a key, not a name"
    return (
        f"{path} holds no weights: nothing in {what} is a tensor, and its {key!r} is "
        f"a {type(value).__name__}"
    )


def _nested(node: Mapping[str, Any], depth: int) -> Iterator[tuple[str, ...]]:
    """Yield the keys that lead to dicts of tensors below ``node``."""
    for key, child in node.items():
        if isinstance(key, str) and isinstance(child, Mapping):
            if _holds_tensors(child):
                yield (key,)
            elif depth > 1:
                yield from ((key, *rest) for rest in _nested(child, depth - 1))
