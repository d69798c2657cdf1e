"""From the pixels of an object to what COCO writes about it."""

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask


def annotate(mask: np.ndarray, crowd: bool) -> dict[str, Any]:
    """Return ``segmentation``, ``area``, ``bbox`` and ``iscrowd`` of a mask (H, W).

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


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Return ``counts`` down the columns, zeros first, and ``size``, (H, W)."""
    flat = mask.ravel(order="F").astype(np.int8)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    counts = np.diff(changes, prepend=0, append=flat.size)
    return dict(counts=counts.tolist(), size=list(mask.shape))


def polygons(mask: np.ndarray) -> list[list[float]]:
    """Return polygons ``[x1, y1, x2, y2, ...]`` along the edges of the pixels.

    COCO's polygons have no holes, so a region with a hole is cut in two through it.
    """
    # Enlarged three times, a boundary pixel says by its remainder which side it is on.
    large = mask.astype(np.uint8).repeat(3, axis=0).repeat(3, axis=1)
    contours, (nesting,) = cv2.findContours(
        large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    holes = np.flatnonzero(nesting[:, 3] >= 0)  # those that have a parent
    if holes.size:
        x = int(contours[holes[0]][:, 0, 0].mean()) // 3
        left, right = mask.copy(), mask.copy()
        left[:, x:] = False
        right[:, :x] = False
        return polygons(left) + polygons(right)
    rings = [np.rint(contour[:, 0] / 3) for contour in contours]
    return [_corners(ring).ravel().tolist() for ring in rings]


def _corners(ring: np.ndarray) -> np.ndarray:
    """Return ``ring`` without repeated points and points on a straight line."""
    ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return ring[turns]
