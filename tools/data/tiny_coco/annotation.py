"""From the pixels of an object to what COCO writes about it."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .scene import Thing
from .shapes import CATEGORIES


def annotate(mask: np.ndarray, crowd: bool) -> dict:
    """``segmentation``, ``area``, ``bbox`` and ``iscrowd`` of the pixels ``mask``.

    Objects are written as polygons, crowds as uncompressed run lengths. pycocotools
    reads both back as exactly ``mask``.
    """
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(
        segmentation=run_lengths(mask) if crowd else polygons(mask),
        area=float(coco_mask.area(encoded)),
        bbox=coco_mask.toBbox(encoded).tolist(),  # x, y, width, height
        iscrowd=int(crowd),
    )


def semantic_labels(
    seen: list[tuple[Thing, np.ndarray]], size: tuple[int, int]
) -> np.ndarray:
    """A byte a pixel, (H, W): 0 for the background, 1 for the first category, ..."""
    order = list(CATEGORIES.values())
    labels = np.zeros(size, np.uint8)
    for thing, mask in seen:
        labels[mask] = 1 + order.index(thing.category)
    return labels


def run_lengths(mask: np.ndarray) -> dict:
    """``{'counts': [...], 'size': [H, W]}``, down the columns, zeros counted first."""
    flat = mask.ravel(order="F").astype(np.int8)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    edges = np.concatenate([[0], changes, [flat.size]])
    return dict(counts=np.diff(edges).tolist(), size=list(mask.shape))


def polygons(mask: np.ndarray) -> list[list[float]]:
    """Polygons ``[x1, y1, x2, y2, ...]`` along the edges of the pixels.

    COCO's polygons have no holes, so a region with a hole is cut in two through it.
    """
    # Enlarged three times, a boundary pixel says by its remainder which side it is on.
    large = mask.astype(np.uint8).repeat(3, axis=0).repeat(3, axis=1)
    contours, (nesting,) = cv2.findContours(
        large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    holes = [
        c for c, (*_, parent) in zip(contours, nesting, strict=True) if parent >= 0
    ]
    if holes:
        x = int(holes[0][:, 0, 0].mean()) // 3
        left, right = mask.copy(), mask.copy()
        left[:, x:] = False
        right[:, :x] = False
        return polygons(left) + polygons(right)
    corners = [np.rint(contour[:, 0] / 3) for contour in contours]
    return [_without_middles(ring).ravel().tolist() for ring in corners]


def _without_middles(ring: np.ndarray) -> np.ndarray:
    """``ring`` without repeated points and points on a straight line."""
    ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return ring[turns]
