"""Suggest what may be wrong with a checkpoint whose keys don't match a model's."""

from collections.abc import Collection, Iterable

from .counted_keys import is_counter

_SHARE = 0.9
_DEPTH = 3  # the parts of a key that may be a prefix


def hint(own: Collection[str], given: Collection[str]) -> str:
    """Return what makes the keys match, as the end of a sentence; often nothing."""
    given = [key for key in given if not is_counter(key)]
    behind = [p for p in _prefixes(given) if _matches_behind(p, own, given)]
    if behind:
        named = " and ".join(repr(prefix) for prefix in sorted(behind))
        return f"; its keys match behind {named}: save them without that"
    bare = sum(f"backbone.{key}" in own for key in given)
    if bare >= _SHARE * len(given) or all(k.startswith("backbone.") for k in given):
        return "; weights of a backbone alone belong in model.backbone.init_cfg"
    return ""


def listing(names: Iterable[str], most: int = 6) -> str:
    """Return the first names in their order, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _prefixes(keys: Iterable[str]) -> set[str]:
    return {
        ".".join(parts[:depth]) + "."
        for parts in (key.split(".") for key in keys)
        for depth in range(1, min(_DEPTH, len(parts) - 1) + 1)
    }


def _matches_behind(prefix: str, own: Collection[str], given: Collection[str]) -> bool:
    inside = sum(k.startswith(prefix) and k[len(prefix) :] in own for k in given)
    return inside >= _SHARE * len(own)
