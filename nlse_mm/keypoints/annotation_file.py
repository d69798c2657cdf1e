"""Read a keypoint file, for the data set and for the metric."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from pycocotools.coco import COCO

from nlse_mm.errors import ConfigError
from nlse_mm.validation.coco_json import LISTS, read_coco, short

from .annotation import Cleaner
from .annotation_lists import Entry, by_id, check_categories, check_images, id_of
from .mask_extent import is_polygons, mask_extent
from .values import is_absent


def read_keypoints(
    path: str,
    classes: Sequence[str],
    names: Sequence[str],
    *,
    name: str | None = None,
    with_annotations: bool = True,
    with_sizes: bool = True,
    with_masks: bool = False,
) -> dict[str, list[Entry]]:
    """Read images, annotations and categories that can be relied upon.

    What the file lacks and follows from the rest is supplied, and logged:
    ``area`` from the mask, or else the box; ``bbox`` from the mask, or else the
    labelled keypoints; ``iscrowd`` 0; ``num_keypoints``; ids of annotations by order;
    the keypoints' names. Numbers may be written as texts. Annotations of other classes
    and of images that aren't listed are left out, as COCO's own tools do it.

    Args:
        path: The file.
        classes: The classes; the categories come in their order.
        names: The keypoints of each of them.
        name: What messages call the file; None: ``path``.
        with_annotations: Whether the file must have ``annotations``.
        with_sizes: Whether images must have ``file_name``, ``width`` and ``height``.
        with_masks: Whether each annotation must have a mask.

    Raises:
        ConfigError: Naming file, entry and key of what is wrong, or missing and not to
            be computed.
        MissingFileError: If there is no such file.
    """
    name = name or path
    required = LISTS if with_annotations else ("images", "categories")
    content = read_coco(path, name, required)
    check_categories(content["categories"], classes, names, name)
    categories = by_id(content["categories"], "categories", name)
    images = check_images(content["images"], with_sizes, name)
    cleaner = Cleaner(names)
    left_out: Counter[str] = Counter()
    has_keypoints = dict.fromkeys(classes, 0)
    kept = []
    for i, raw in enumerate(content["annotations"]):
        where = f"{name}: annotations[{i}]"
        if isinstance(raw.get("id"), (int, str)):
            where += f" (id {raw['id']!r:.40})"
        image = images.get(id_of(raw, "image_id", where))
        category: Entry | None
        if raw.get("category_id") is None and len(categories) == 1:
            category = next(iter(categories.values()))
        else:
            category = categories.get(id_of(raw, "category_id", where))
        if image is None:
            left_out["images"] += 1
        elif category is None:
            left_out["categories"] += 1
        elif category["name"] in classes:
            has_keypoints[category["name"]] += not is_absent(raw.get("keypoints"))
            width, height = image["width"], image["height"]
            size = None if width is None or height is None else (width, height)
            clean = cleaner.clean(raw, where, size)
            if with_masks and not _is_left_out(clean):
                _check_mask(raw.get("segmentation"), size, where)
            kept.append(dict(clean, image_id=image["id"], category_id=category["id"]))
    if left_out and left_out.total() == len(content["annotations"]):
        raise ConfigError(
            f"{name}: of none of its {left_out.total()} annotations both image_id and "
            f"category_id are ids of its images and categories"
        )
    chosen = {c["name"]: c for c in categories.values()}
    for c in classes:
        own = sum(a["category_id"] == chosen[c]["id"] for a in kept)
        if own and not has_keypoints[c] and is_absent(chosen[c].get("keypoints")):
            raise ConfigError(
                f"{name} has no keypoints in its category {c!r}, neither names nor in "
                f"any of its {own} annotations: CocoKeypointDataset needs a "
                "person_keypoints_*.json, and this may be an instances_*.json"
            )
    _number(kept)
    _log(name, cleaner.supplied, left_out)
    return dict(
        images=list(images.values()),
        annotations=kept,
        categories=[dict(chosen[c], keypoints=list(names)) for c in classes],
    )


def index(content: dict[str, list[Entry]], coco: COCO) -> COCO:
    """Put what ``read_keypoints`` found into an empty ``COCO``."""
    coco.dataset = content
    coco.createIndex()
    return coco


def _is_left_out(annotation: Entry) -> bool:
    """Say whether MMDetection's parent class leaves it out, its mask unread."""
    w, h = annotation["bbox"][2:]
    return bool(annotation["ignore"]) or annotation["area"] <= 0 or w < 1 or h < 1


def _check_mask(segmentation: Any, size: tuple[int, int] | None, where: str) -> None:
    if is_absent(segmentation):
        raise ConfigError(
            f"{where} has no segmentation, and the pipeline loads masks (with_mask)"
        )
    if isinstance(segmentation, list):  # MMDetection leaves such polygons out
        segmentation = [
            ring
            for ring in segmentation
            if not isinstance(ring, list) or len(ring) % 2 == 0
        ]
        if not segmentation:
            return
    if not is_polygons(segmentation) and mask_extent(segmentation, size) is None:
        raise ConfigError(
            f"{where}: segmentation={short(segmentation)} is neither polygons nor an "
            "RLE of the image's size, and the pipeline loads masks (with_mask)"
        )


def _number(annotations: list[Entry]) -> None:
    """Keep the ids where they can serve; else number all by order.

    pycocotools takes an annotation with the id 0 for one that isn't matched.
    """
    ids = [a.get("id") for a in annotations]
    usable = all(type(i) is int and 0 < i < 1 << 53 for i in ids)
    if not usable or len(set(ids)) != len(ids):
        for i, annotation in enumerate(annotations, 1):
            annotation["id"] = i


def _log(name: str, supplied: Counter[str], left_out: Counter[str]) -> None:
    said = [f"{n} annotations have no {what}" for what, n in supplied.items()]
    said += [
        f"{n} annotations are left out, whose {what} aren't listed"
        for what, n in left_out.items()
        if n
    ]
    for sentence in said:
        print_log(f"{name}: {sentence}", "current", logging.WARNING)
