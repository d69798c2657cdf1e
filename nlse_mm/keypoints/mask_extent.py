"""Compute a mask's area and box from COCO's ``segmentation``, in its three forms."""

import math
from typing import Any

import numpy as np
from pycocotools import mask as rle_tools

Extent = tuple[float, list[float]]  # area; x, y, w, h


def mask_extent(segmentation: Any, size: tuple[int, int] | None) -> Extent | None:
    """Compute area and box of polygons or of an RLE, compressed or not.

    Of polygons the area inside them and their outermost corners, which are COCO's own
    ``area`` and ``bbox`` to rounding; a mask in several polygons is their sum.

    Args:
        segmentation: As the file has it.
        size: Width and height of the image; an RLE of another size is no mask of it.

    Returns:
        None if it isn't a mask, or an empty one.
    """
    if isinstance(segmentation, dict):
        return _of_rle(segmentation, size) if size else None
    if not is_polygons(segmentation):
        return None
    rings = [np.array(ring, float).reshape(-1, 2) for ring in segmentation]  # (n, 2)
    rings = [ring for ring in rings if len(ring) > 2]
    with np.errstate(over="ignore", invalid="ignore"):
        area = sum(map(_inside, rings))
    if area <= 0 or not math.isfinite(area):
        return None
    corners = np.concatenate(rings)  # (sum of n, 2)
    x, y = corners.min(0).tolist()
    w, h = np.ptp(corners, axis=0).tolist()
    return area, [x, y, w, h]


def is_polygons(segmentation: Any) -> bool:
    """Say whether it is a list of polygons: x, y, x, y and so on, finite."""
    if not isinstance(segmentation, list) or not segmentation:
        return False
    try:
        return all(
            isinstance(ring, list)
            and len(ring) % 2 == 0
            and all(map(math.isfinite, ring))
            for ring in segmentation
        )
    except (TypeError, OverflowError):
        return False


def _inside(ring: np.ndarray) -> float:
    """Compute the area of one polygon (n, 2), by Gauss's formula."""
    x, y = (ring - ring[0]).T  # (n,) each; near zero, where little is rounded off
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _of_rle(rle: dict[str, Any], size: tuple[int, int]) -> Extent | None:
    width, height = size
    counts = rle.get("counts")
    if rle.get("size") != [height, width]:
        return None
    runs = _runs(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or any(type(r) is not int or r < 0 for r in runs):
        return None
    # pycocotools writes past the mask's end if the runs are longer than it.
    if sum(runs) != width * height:
        return None
    shape = [height, width]
    encoded = rle_tools.frPyObjects(dict(size=shape, counts=runs), *shape)
    area = float(sum(runs[1::2]))
    return (area, rle_tools.toBbox(encoded).tolist()) if area else None


def _runs(text: str) -> list[int]:
    """Decode COCO's compressed counts.

    Five bits a character, from the lowest, in printable ASCII from "0"; the sixth says
    that more follow, and the last character's fifth is the sign. From the fourth on a
    run is written as its difference to the one two before.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return [-1]
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
