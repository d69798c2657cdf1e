"""Match values with type annotations, and describe an annotation in words."""

import inspect
import math
import numbers
import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

Integers = int | Sequence[int]
# What the toolboxes' unannotated arguments take, by their names.
STOCK_HINTS: dict[str, Any] = dict(
    depth=int,
    in_channels=Integers,
    stem_channels=int | None,
    base_channels=int,
    num_stages=int,
    strides=Sequence[int],
    dilations=Sequence[int],
    out_indices=Sequence[int],
    style=Literal["pytorch", "caffe"],
    frozen_stages=int,
    stage_with_dcn=Sequence[bool],
    multi_grid=Sequence[int] | None,
    pretrained=str | None,
    groups=int,
    base_width=int,
    channels=int,
    num_classes=int,
    out_channels=int | None,
    threshold=float | None,
    dropout_ratio=float,
    in_index=Integers,
    input_transform=str | None,
    loss_decode=dict | Sequence[dict],
    ignore_index=int | None,
    sampler=dict | None,
    kernel_size=int,
    dilation=int,
    num_convs=int,
    reduce_zero_label=bool | None,
    backend_args=dict | None,
    imdecode_backend=str,
    meta_keys=str | Sequence[str],
    interpolation=str,
    img_suffix=str,
    seg_map_suffix=str,
    tta_cfg=dict | None,
)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's arguments but for ``*`` and ``**``."""
    hints = get_type_hints(function, include_extras=True)
    stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.items()
    return {n: hints[n] for n, p in parameters if n in hints and p.kind not in stars}


def fits(value: Any, hint: Any) -> bool:
    """Return whether ``value`` is of the type ``hint``.

    A bool is no integer, but 0 and 1 may stand for one; an integer is a number, NaN and
    infinity are none; a list may stand for a tuple, a ``ConfigDict`` for a dict.
    Annotated types and those without a rule here fit everything.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        # By type too: True == 1, and a config that means the one isn't the other.
        return any(type(value) is type(part) and value == part for part in parts)
    if hint in _RULES:
        return _RULES[hint](value)
    kind = origin or hint
    if kind in _SEQUENCES:
        if not _is_sequence(value):
            return False
        return not parts or all(fits(v, parts[0]) for v in value)
    if kind in (dict, Mapping):
        return isinstance(value, Mapping)
    return True


def fits_loosely(value: Any, hint: Any) -> bool:
    """Return whether ``value`` may be meant by the ``hint`` of a stock signature.

    These err in which container it is, in what is in it, and in whether it may be None.
    """
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = [get_origin(part) or part for part in parts]
    if value is None or any(k not in _RULES and k not in _CONTAINERS for k in kinds):
        return True
    if any(k in _CONTAINERS for k in kinds) and _is_container(value):
        return True
    return any(fits(value, kind) for kind in kinds if kind in _RULES)


def describe(hint: Any, above: str = "") -> str:
    """Describe a type in words; ``above`` follows what is a number."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(part, above) for part in parts)
    if origin is Literal:
        return f"one of {parts}"
    if hint in _WORDS:
        return _WORDS[hint] + (above if hint in (int, float) else "")
    if (origin or hint) in _SEQUENCES:
        inside = [p for p in parts if p is not Ellipsis][:1]
        return f"a list of {_PLURALS.get(inside[0], 'values')}" if inside else "a list"
    return "a dict" if (origin or hint) in (dict, Mapping) else str(hint)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (
        _is_integer(value) and value in (0, 1)
    )


def _is_number(value: Any) -> bool:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _is_container(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def _is_sequence(value: Any) -> bool:
    # A collection, because checking what is in a generator would empty it.
    is_filled = isinstance(value, Collection) and _is_container(value)
    return is_filled and not isinstance(value, Mapping | Set)


_RULES: dict[Any, Callable[[Any], bool]] = {
    bool: _is_flag,
    int: _is_integer,
    float: _is_number,
    str: lambda value: isinstance(value, str | os.PathLike),
    type(None): lambda value: value is None,
}
_SEQUENCES = (list, tuple, Sequence, Iterable)
_CONTAINERS = (*_SEQUENCES, dict, Mapping)
_WORDS = {
    bool: "True or False",
    int: "an integer",
    float: "a finite number",
    str: "a string",
    type(None): "None",
}
_PLURALS = {
    bool: "bools",
    int: "integers",
    float: "numbers",
    str: "strings",
}
