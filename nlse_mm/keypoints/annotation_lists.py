"""Check the categories and images of a keypoint file, and find them by their ids."""

from collections.abc import Sequence
from typing import Any

from nlse_mm.errors import ConfigError
from nlse_mm.validation.coco_json import short

from .values import MAX_SIDE, identifier, is_absent, whole

Entry = dict[str, Any]


def id_value(value: Any) -> Any:
    """Take an id that may be NumPy's or a tensor's."""
    return identifier(value.item() if hasattr(value, "item") else value)


def id_text(value: Any) -> str:
    """Write an id so that 7, "7" and 7.0 are the same."""
    return str(id_value(value))


def id_of(entry: Entry, key: str, where: str) -> str:
    """Take the id that an entry has under ``key``, as ``id_text`` writes it.

    Raises:
        ConfigError: If it has none, or something else there.
    """
    value = entry.get(key)
    if value is None:
        raise ConfigError(f"{where} has no {key}")
    if identifier(value) is None:
        raise ConfigError(
            f"{where}: {key}={short(value)} is not an id: a whole number or a text"
        )
    return id_text(value)


def by_id(entries: list[Entry], what: str, name: str) -> dict[str, Entry]:
    """Copy entries into a dictionary by their ids; one that is repeated counts once.

    Raises:
        ConfigError: For an entry without an id, or with another one's.
    """
    found: dict[str, Entry] = {}
    for i, entry in enumerate(entries):
        where = f"{name}: {what}[{i}]"
        key = id_of(entry, "id", where)
        copy = dict(entry, id=identifier(entry["id"]))
        if found.setdefault(key, copy) != copy:
            raise ConfigError(f"{where}: id={short(entry['id'])} is another one's, too")
    return found


def check_categories(
    entries: list[Entry], classes: Sequence[str], names: Sequence[str], name: str
) -> None:
    """Check that the file has the config's classes with the config's keypoints.

    A category without a list of names is taken to have the config's.

    Raises:
        ConfigError: Naming the category that is missing, there twice, or another.
    """
    found: list[str] = []
    for i, entry in enumerate(entries):
        called = entry.get("name")
        if not isinstance(called, str):
            raise ConfigError(
                f"{name}: categories[{i}]: name={short(called)} is not a text"
            )
        found.append(called)
    missing = [c for c in classes if c not in found]
    if missing:
        raise ConfigError(
            f"{name} has no category {missing}: its categories are {sorted(found)}"
        )
    twice = [c for c in classes if found.count(c) > 1]
    if twice:
        raise ConfigError(f"{name} has {found.count(twice[0])} categories {twice[0]!r}")
    for i, entry in enumerate(entries):
        given = entry.get("keypoints")
        if entry["name"] not in classes or is_absent(given):
            continue
        if not isinstance(given, list) or not all(isinstance(k, str) for k in given):
            raise ConfigError(
                f"{name}: categories[{i}]: keypoints={short(given)} is not a list of "
                "names"
            )
        if tuple(given) != tuple(names):
            raise ConfigError(
                f"{name} has {len(given)} keypoints {tuple(given)} in its category "
                f"{entry['name']!r}, and the config's metainfo has {len(names)}: "
                f"{tuple(names)}"
            )


def check_images(entries: list[Entry], with_sizes: bool, name: str) -> dict[str, Entry]:
    """Check the images, and return copies by their ids.

    Raises:
        ConfigError: If one has a wrong value, or has no ``file_name``, ``width`` or
            ``height`` and ``with_sizes`` requires them.
    """
    images = by_id(entries, "images", name)
    for i, image in enumerate(images.values()):
        where = f"{name}: images[{i}] (id {short(image['id'])})"
        for key in ("file_name", "width", "height"):
            value = image.get(key)
            if is_absent(value) and with_sizes:
                raise ConfigError(f"{where} has no {key}")
            if is_absent(value):
                image[key] = None
            elif key == "file_name":
                if not isinstance(value, str) or "\0" in value:
                    raise ConfigError(f"{where}: {key}={short(value)} is not a name")
            else:
                image[key] = _side(value, f"{where}: {key}")
    return images


def _side(value: Any, what: str) -> int:
    side = whole(value)
    if side is None or not 0 < side <= MAX_SIDE:
        raise ConfigError(
            f"{what}={short(value)} is not a number of pixels from 1 to {MAX_SIDE}"
        )
    return side
