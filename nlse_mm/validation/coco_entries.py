"""Take entries of COCO's lists, and their values, or refuse them.

Every ConfigError names file, entry and key; ``where`` holds the first two.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

from nlse_mm.errors import ConfigError

from .coco_json import short

Entry = dict[str, Any]
Content = dict[str, Any]


def category_ids(
    content: Content, path: str, classes: Collection[str] | None
) -> set[Any]:
    """Return the ids of the categories among the classes; None: of all."""
    return {
        id_of(category, "id", f"{path}: categories[{i}]")
        for i, category in enumerate(content["categories"])
        if classes is None or category.get("name") in classes
    }


def check_categories(
    content: Content, path: str, classes: Collection[str] | None
) -> None:
    """Check that each class is one category: a label is a place in their list."""
    names = [category.get("name") for category in content["categories"]]
    for name in classes or ():
        if names.count(name) > 1:
            raise ConfigError(f"{path} has {names.count(name)} categories {name!r}")


def images_of(content: Content, path: str) -> dict[Any, tuple[str, Entry]]:
    """Return each image and its place by id; a later one hides an earlier one."""
    found: dict[Any, tuple[str, Entry]] = {}
    for i, image in enumerate(content["images"]):
        where = f"{path}: images[{i}]"
        found[id_of(image, "id", where)] = where, image
    return found


def annotations_of(
    content: Content, path: str, images: dict[Any, Any]
) -> Iterator[tuple[str, Entry]]:
    """Yield the place of each annotation of a listed image, and the annotation."""
    for i, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{i}]"
        for key in ("id", "image_id", "category_id"):
            id_of(annotation, key, where)
        if annotation["image_id"] in images:
            yield f"{where} (id {annotation['id']!r:.40})", annotation


def id_of(entry: Entry, key: str, where: str) -> Any:
    """Return the id under ``key``; refuse what can't be one."""
    if key not in entry:
        raise ConfigError(f"{where} has no {key}")
    if isinstance(entry[key], (list, dict)):
        raise ConfigError(f"{where}: {key}={short(entry[key])} is not an id")
    return entry[key]


def box_of(annotation: Entry, where: str) -> list[float]:
    """Return x, y, width and height; refuse what isn't four numbers."""
    box = annotation.get("bbox")
    if box is None:
        raise ConfigError(f"{where} has no bbox: x, y, width, height")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ConfigError(
            f"{where}: bbox={short(box)} is not four numbers: x, y, width, height"
        )
    return box


def check_number(entry: Entry, key: str, where: str) -> None:
    """Check that there is a finite number under ``key``."""
    if not _is_number(entry.get(key)):
        raise ConfigError(f"{where} {lacks(key, entry.get(key))}")


def lacks(key: str, value: Any) -> str:
    """Write that there is no ``key``, or no number under it."""
    if value is None:
        return f"has no {key}"
    return f"has {key}={short(value)}, which is not a number"


def check_mask(annotation: Entry, where: str, user: str) -> None:
    """Check that there is a mask, an RLE or polygons, for its ``user``."""
    segmentation = annotation.get("segmentation")
    if not isinstance(segmentation, (list, dict)) or not segmentation:
        raise ConfigError(f"{where} has no segmentation, which {user} needs")
    if isinstance(segmentation, list) and not all(
        isinstance(ring, list) for ring in segmentation
    ):
        raise ConfigError(
            f"{where}: segmentation={short(segmentation)} is not a list of polygons, "
            "each of them a list x, y, x, y and so on"
        )


def check_decodable(segmentation: Any, where: str) -> None:
    """Check the parts by which pycocotools distinguishes the forms of masks."""
    if isinstance(segmentation, list):
        is_known = len(segmentation[0]) >= 4
    else:
        is_known = {"counts", "size"} <= segmentation.keys()
    if not is_known:
        raise ConfigError(
            f"{where}: segmentation={short(segmentation)} is neither polygons nor an "
            "RLE with counts and size, and metric='segm' needs a mask"
        )


def check_size(image: Entry, where: str) -> None:
    """Check that an image has a width and a height."""
    for key in ("width", "height"):
        if not _is_number(image.get(key)):
            raise ConfigError(
                f"{where}: {key}={short(image.get(key))} of its image is not a number"
            )


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:
        return False
