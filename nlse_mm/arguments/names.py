"""Suggest what a name that isn't there may stand for."""

import difflib
from collections.abc import Iterable


def short(value: object) -> str:
    """Return a value as Python writes it, cut off where it is long."""
    written = repr(value)
    return written if len(written) <= 80 else f"{written[:77]}..."


def near_names(name: str, names: Iterable[str], otherwise: bool = True) -> str:
    """Return ``'; near it are 'a', 'b''``; where none is near, all of them or nothing.

    Args:
        name: What was written.
        names: What could have been.
        otherwise: Whether to list all of ``names`` where none is near.
    """
    lower = {n.lower(): n for n in names}  # a wrong case is the nearest of all
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower)]
    if near:
        return f"; near it are {', '.join(map(repr, near))}"
    return f"; there are {', '.join(lower.values())}" if otherwise and lower else ""
