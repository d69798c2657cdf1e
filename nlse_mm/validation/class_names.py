"""Read the classes of a built data set, and those of its annotation file."""

import json
import mmap
import re
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from nlse_mm.errors import ConfigError

_CATEGORIES = re.compile(rb'"categories"\s*:\s*')
_CHUNK = 1 << 20  # bytes; most lists of categories are shorter


def leaves(dataset: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the data sets proper, below wrappers such as RepeatDataset, with keys."""
    for i, child in enumerate(getattr(dataset, "datasets", None) or ()):
        yield from leaves(child, f"{key}.datasets[{i}]")
    if hasattr(dataset, "dataset"):
        yield from leaves(dataset.dataset, f"{key}.dataset")
    elif not hasattr(dataset, "datasets"):
        yield key, dataset


def classes_of(dataset: Any, key: str) -> tuple[str, ...] | None:
    """Return the names of ``metainfo``, or None for a data set without classes.

    Raises:
        ConfigError: If they aren't a list of names.
    """
    metainfo = getattr(dataset, "metainfo", None) or {}
    if "CLASSES" in metainfo:
        raise ConfigError(
            f"{key}.metainfo has CLASSES, which nothing reads since MMDetection 3 and "
            "MMSegmentation 1: call it classes"
        )
    classes = metainfo.get("classes")
    if isinstance(classes, str):
        raise ConfigError(
            f"{key}.metainfo.classes={classes!r} is one string, not a list of names: "
            f"write ({classes!r},), with a comma, for one class"
        )
    if classes is None:
        return None
    wrong = [name for name in classes if not isinstance(name, str)]
    if wrong:
        raise ConfigError(
            f"{key}.metainfo.classes has {wrong[0]!r}, which is not a name"
        )
    return tuple(classes)


def label_names(dataset: Any, key: str) -> tuple[str, ...] | None:
    """Return the name of each label, or None for a data set without classes.

    COCO's data sets number them in the order of the file, not of ``metainfo``.
    """
    classes = classes_of(dataset, key)
    ids = getattr(dataset, "cat_ids", None)
    if classes is None or not isinstance(ids, list):
        return classes
    in_file = file_categories(getattr(dataset, "ann_file", ""))
    # LVIS and others have rules of their own.
    if in_file is None or chosen(in_file, classes) != ids:
        return classes
    return tuple(in_file[i] for i in ids)


def chosen(in_file: dict[Hashable, str], classes: Sequence[str]) -> list[Hashable]:
    """Return the ids of the categories among the classes, as CocoDataset takes them."""
    return [i for i, name in in_file.items() if name in classes]


def file_categories(path: Any) -> dict[Hashable, str] | None:
    """Return id and name of a COCO file's categories.

    It reads the list alone: COCO's whole file is 450 MB. None for a file without
    categories, or of another kind.
    """
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            places = [found.end() for found in _CATEGORIES.finditer(text)]
            if len(places) == 1:
                categories = _decode(text, places[0])
            else:  # the word is used for something else, too
                categories = json.loads(text[:])["categories"]
        return {category["id"]: category["name"] for category in categories}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _decode(text: mmap.mmap, start: int) -> Any:
    length = _CHUNK
    while True:
        part = text[start : start + length].decode(errors="ignore")
        try:
            return json.JSONDecoder().raw_decode(part)[0]
        except ValueError:
            if start + length >= len(text):
                raise
        length *= 4


def few(names: Sequence[str], most: int = 8) -> str:
    """Write names for a sentence, of a long list the first ones."""
    listed = ", ".join(map(repr, names[:most]))
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
