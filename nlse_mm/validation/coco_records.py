"""Check what MMDetection's COCO data set and metric read unchecked.

They are stock, and end in a KeyError or TypeError of theirs, the metric after the
training. Nothing is refused here that they take and count rightly.
"""

from collections.abc import Collection
from typing import Any

from nlse_mm.errors import ConfigError

from .coco_entries import (
    Content,
    annotations_of,
    box_of,
    category_ids,
    check_categories,
    check_decodable,
    check_mask,
    check_number,
    check_size,
    id_of,
    images_of,
    lacks,
)
from .coco_json import short


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
        ConfigError: Naming file, entry and key.
    """
    images = images_of(content, path)
    for where, image in images.values():
        for key in ("file_name", "width", "height"):
            if key not in image:
                raise ConfigError(f"{where} has no {key}")
        if not isinstance(image["file_name"], str):
            shown = short(image["file_name"])
            raise ConfigError(f"{where}: file_name={shown} is not a name")
        if training:
            check_size(image, where)
    used = category_ids(content, path, classes)
    if training:
        check_categories(content, path, classes)
    ids: set[Any] = set()
    for where, annotation in annotations_of(content, path, images):
        if annotation["id"] in ids:
            raise ConfigError(f"{where}: id is another one's, too")
        ids.add(annotation["id"])
        if annotation.get("ignore"):
            continue
        _, image = images[annotation["image_id"]]
        check_size(image, where)
        if training and min(image["width"], image["height"]) <= 0:
            raise ConfigError(
                f"{where}: its image is {image['width']} x {image['height']} pixels "
                "(width x height) large, and boxes outside an image are left out"
            )
        x, y, w, h = box_of(annotation, where)
        wide = min(x + w, image["width"]) - max(x, 0)
        tall = min(y + h, image["height"]) - max(y, 0)
        if wide <= 0 or tall <= 0:
            continue  # left out, the rest unread
        area = annotation.get("area")
        if not isinstance(area, (int, float)):
            raise ConfigError(f"{where} {lacks('area', area)}")
        is_left_out = area <= 0 or w < 1 or h < 1
        if masks and not is_left_out and annotation["category_id"] in used:
            check_mask(annotation, where, "the pipeline (with_mask)")


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
        ConfigError: Naming file, entry and key.
    """
    images = images_of(content, path)
    evaluated = category_ids(content, path, classes)
    check_categories(content, path, classes)
    ids: set[Any] = set()
    for where, annotation in annotations_of(content, path, images):
        if annotation["id"] in ids:  # pycocotools takes one of them twice
            raise ConfigError(f"{where}: id is another one's, too")
        ids.add(annotation["id"])
        if annotation["category_id"] not in evaluated:
            continue
        check_number(annotation, "area", where)
        if "iscrowd" not in annotation:
            raise ConfigError(
                f"{where} has no iscrowd, which pycocotools needs: 0, or 1 for a crowd"
            )
        if annotation["iscrowd"] not in (0, 1):
            shown = short(annotation["iscrowd"])
            raise ConfigError(f"{where}: iscrowd={shown} is not 0 or 1")
        if set(metrics) - {"segm"}:
            box_of(annotation, where)
        if "segm" in metrics:
            check_mask(annotation, where, "metric='segm'")
            check_decodable(annotation["segmentation"], where)
            check_size(images[annotation["image_id"]][1], where)


def check_panoptic(content: Content, path: str) -> None:
    """Check that annotations are those of a panoptic file.

    Raises:
        ConfigError: Naming file, entry and key.
    """
    for i, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{i}]"
        id_of(annotation, "image_id", where)
        if not isinstance(annotation.get("segments_info"), list):
            raise ConfigError(
                f"{where} has no segments_info: a panoptic_*.json is needed"
            )
