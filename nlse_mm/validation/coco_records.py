"""Check what MMDetection's COCO data set and metric read without looking at it.

They are stock, and end in a KeyError or TypeError of theirs, the metric after the
training. Nothing is refused here that they take and count rightly.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

from nlse_mm.errors import ConfigError

from .coco_json import short

Content = dict[str, Any]


def check_for_dataset(
    content: Content,
    path: str,
    classes: Collection[str] | None,
    *,
    training: bool,
    masks: bool,
) -> None:
    """Check images and annotations as ``CocoDataset`` reads them.

    Args:
        content: The file.
        path: Its name, for messages.
        classes: The classes that are read; None: not known.
        training: Whether ``filter_cfg`` compares the images' sizes.
        masks: Whether the pipeline loads masks.

    Raises:
        ValueError: Naming file, entry and key.
    """
    images = _images(content, path)
    for where, image in images.values():
        for key in ("file_name", "width", "height"):
            if key not in image:
                raise ConfigError(f"{where} has no {key}")
        if not isinstance(image["file_name"], str):
            shown = short(image["file_name"])
            raise ConfigError(f"{where}: file_name={shown} is not a name")
        if training:
            _check_size(image, where)
    used = _category_ids(content, path, classes)
    if training:
        _check_categories(content, path, classes)
    ids: set[Any] = set()
    for where, annotation in _annotations(content, path, images):
        if annotation["id"] in ids:
            raise ConfigError(f"{where}: id is another one's, too")
        ids.add(annotation["id"])
        if annotation.get("ignore"):
            continue
        _, image = images[annotation["image_id"]]
        _check_size(image, where)
        if training and min(image["width"], image["height"]) <= 0:
            raise ConfigError(
                f"{where}: its image is {image['width']} x {image['height']} pixels "
                "(width x height) large, and boxes outside an image are left out"
            )
        x, y, w, h = _box(annotation, where)
        wide = min(x + w, image["width"]) - max(x, 0)
        tall = min(y + h, image["height"]) - max(y, 0)
        if wide <= 0 or tall <= 0:
            continue  # left out, the rest unread
        area = annotation.get("area")
        if not isinstance(area, (int, float)):
            raise ConfigError(f"{where} {_lacks('area', area)}")
        is_left_out = area <= 0 or w < 1 or h < 1
        if masks and not is_left_out and annotation["category_id"] in used:
            _check_mask(annotation, where, "the pipeline (with_mask)")


def check_for_metric(
    content: Content,
    path: str,
    metrics: Collection[str],
    classes: Collection[str] | None,
) -> None:
    """Check images and annotations as ``CocoMetric`` reads them.

    Args:
        content: The file.
        path: Its name, for messages.
        metrics: ``'bbox'``, ``'segm'``, ``'proposal'`` and so on.
        classes: The classes that are evaluated; None: not known.

    Raises:
        ValueError: Naming file, entry and key.
    """
    images = _images(content, path)
    evaluated = _category_ids(content, path, classes)
    _check_categories(content, path, classes)
    ids: set[Any] = set()
    for where, annotation in _annotations(content, path, images):
        if annotation["id"] in ids:  # pycocotools takes one of them twice
            raise ConfigError(f"{where}: id is another one's, too")
        ids.add(annotation["id"])
        if annotation["category_id"] not in evaluated:
            continue
        _check_number(annotation, "area", where)
        if "iscrowd" not in annotation:
            raise ConfigError(
                f"{where} has no iscrowd, which pycocotools needs: 0, or 1 for a crowd"
            )
        if annotation["iscrowd"] not in (0, 1):
            shown = short(annotation["iscrowd"])
            raise ConfigError(f"{where}: iscrowd={shown} is not 0 or 1")
        if set(metrics) - {"segm"}:
            _box(annotation, where)
        if "segm" in metrics:
            _check_mask(annotation, where, "metric='segm'")
            _check_decodable(annotation["segmentation"], where)
            _check_size(images[annotation["image_id"]][1], where)


def check_panoptic(content: Content, path: str) -> None:
    """Check that annotations are those of a panoptic file.

    Raises:
        ValueError: Naming file, entry and key.
    """
    for i, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{i}]"
        _id(annotation, "image_id", where)
        if not isinstance(annotation.get("segments_info"), list):
            raise ConfigError(
                f"{where} has no segments_info: a panoptic_*.json is needed"
            )


def _category_ids(
    content: Content, path: str, classes: Collection[str] | None
) -> set[Any]:
    return {
        _id(category, "id", f"{path}: categories[{i}]")
        for i, category in enumerate(content["categories"])
        if classes is None or category.get("name") in classes
    }


def _check_categories(
    content: Content, path: str, classes: Collection[str] | None
) -> None:
    """Check that each class is one category: a label is a place in their list."""
    names = [category.get("name") for category in content["categories"]]
    for name in classes or ():
        if names.count(name) > 1:
            raise ConfigError(f"{path} has {names.count(name)} categories {name!r}")


def _images(content: Content, path: str) -> dict[Any, tuple[str, dict]]:
    """Where each image is, and the image, by id; a later one hides an earlier one."""
    found = {}
    for i, image in enumerate(content["images"]):
        where = f"{path}: images[{i}]"
        found[_id(image, "id", where)] = where, image
    return found


def _annotations(
    content: Content, path: str, images: dict[Any, Any]
) -> Iterator[tuple[str, dict]]:
    """Where each annotation of a listed image is, and the annotation."""
    for i, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{i}]"
        for key in ("id", "image_id", "category_id"):
            _id(annotation, key, where)
        if annotation["image_id"] in images:
            yield f"{where} (id {annotation['id']!r:.40})", annotation


def _id(entry: dict, key: str, where: str) -> Any:
    if key not in entry:
        raise ConfigError(f"{where} has no {key}")
    if isinstance(entry[key], (list, dict)):
        raise ConfigError(f"{where}: {key}={short(entry[key])} is not an id")
    return entry[key]


def _box(annotation: dict, where: str) -> list[float]:
    box = annotation.get("bbox")
    if box is None:
        raise ConfigError(f"{where} has no bbox: x, y, width, height")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ConfigError(
            f"{where}: bbox={short(box)} is not four numbers: x, y, width, height"
        )
    return box


def _check_number(entry: dict, key: str, where: str) -> None:
    if not _is_number(entry.get(key)):
        raise ConfigError(f"{where} {_lacks(key, entry.get(key))}")


def _lacks(key: str, value: Any) -> str:
    if value is None:
        return f"has no {key}"
    return f"has {key}={short(value)}, which is not a number"


def _check_mask(annotation: dict, where: str, user: str) -> None:
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


def _check_decodable(segmentation: Any, where: str) -> None:
    """Check what pycocotools looks at to tell one form of masks from another."""
    if isinstance(segmentation, list):
        is_known = len(segmentation[0]) >= 4
    else:
        is_known = {"counts", "size"} <= segmentation.keys()
    if not is_known:
        raise ConfigError(
            f"{where}: segmentation={short(segmentation)} is neither polygons nor an "
            "RLE with counts and size, and metric='segm' needs a mask"
        )


def _check_size(image: dict, where: str) -> None:
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
