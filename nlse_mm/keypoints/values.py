"""Take numbers and ids out of an annotation file, however they are written in it."""

import math
from collections.abc import Hashable
from typing import Any

# OpenCV reads no image with a longer side.
MAX_SIDE = 1 << 20


def number(value: Any) -> float | None:
    """Take a finite number, also one written as a text; None for anything else."""
    if type(value) is int and -MAX_SIDE < value < MAX_SIDE:
        return value  # nearly all are, in a large file
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond float's range
        return None


def whole(value: Any) -> int | None:
    """Take a whole number, also 640.0 and "640"; None for anything else."""
    found = number(value)
    return None if found is None or found != int(found) else int(found)


def identifier(value: Any) -> Hashable | None:
    """Take an id: a whole number or a text as it is; None for anything else."""
    return value if isinstance(value, str) else whole(value)


def is_absent(value: Any) -> bool:
    """Say whether a value stands for none: null, a table's NaN, an empty list."""
    return value is None or value in ([], {}, "") or value != value
