"""The plugin entries of a model's config, one by one, and the config without them."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.registry import MODELS

STAGES = ("res2", "res3", "res4", "res5")
Part = dict[str, Any]  # a config, of a model or of what it is made of


def split(model: Part) -> tuple[Part, dict[str, Part]]:
    """Take a model's config apart into its baseline and what was added to it.

    Args:
        model: A config with ``plugins`` lists at any depth, or with SE backbones, the
            SE layers of each counting as one more entry. It isn't changed.

    Returns:
        The baseline: the same without any entry. And for each entry, under words that
        describe it, the baseline with this entry alone.
    """
    baseline = _plain(model)
    added: dict[str, Part] = {}

    def add(words: str, path: tuple, **settings: Any) -> None:
        alone = part = copy.deepcopy(baseline)
        for key in path:
            part = part[key]
        part.update(copy.deepcopy(settings))
        while words in added:  # the same entry twice
            words += "'"
        added[words] = alone

    parts = list(_parts(model))
    for path, part in parts:
        if _without_se(part):
            place = [*map(str, path)] if path != ("backbone",) else []
            words = " ".join([*place, "SE", part.get("se_position", "standard")])
            add(words, path, **{k: v for k, v in part.items() if k != "plugins"})
    for path, part in parts:
        for entry in part.get("plugins") or ():
            add(" ".join([*map(str, path), describe(entry)]), path, plugins=[entry])
    return baseline, added


def describe(entry: Part) -> str:
    """Describe an entry in a few words: ``NonLocal2d after_block res4[-2]``."""
    words = [entry["cfg"]["type"].rpartition(".")[2]]
    if "position" in entry:
        stages = entry.get("stages") or [True] * len(STAGES)
        blocks = entry.get("blocks")
        suffix = "" if blocks is None else str(list(blocks))
        names = [s for s, wanted in zip(STAGES, stages, strict=False) if wanted]
        words += [entry["position"], *(name + suffix for name in names)]
    places = ("output", "after", "after_convs")
    return " ".join(words + [f"{k}={entry[k]}" for k in places if k in entry])


def _parts(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Part]]:
    """Yield path and settings of each dict, but for those inside of plugin entries."""
    if isinstance(value, dict):
        yield path, value
    for key, inner in _items(value):
        if key != "plugins":
            yield from _parts(inner, (*path, key))


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _plain(value: Any) -> Any:
    """Copy without plugin entries, and each SE backbone without its SE layers."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    copied = {k: [] if k == "plugins" else _plain(v) for k, v in value.items()}
    without_se = _without_se(value)
    return without_se(copied) if without_se else copied


def _without_se(part: Part) -> Callable[[Part], Part] | None:
    """Return what an SE backbone says of its baseline; None for everything else."""
    kind = part.get("type")
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    return getattr(cls, "without_se", None)
