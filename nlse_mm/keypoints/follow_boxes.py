"""Let keypoints follow the boxes that a transform of MMDetection moves."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes, register_box, register_box_converter
from torch import Tensor

from nlse_mm.errors import ConfigError

from .moved import check_keypoints_moved, note_image

_OF_INSTANCES = ("gt_bboxes_labels", "gt_ignore_flags")
_LAST = [0, 0, 1]  # the last row of a matrix without perspective


@register_box(name="nlse_mm_traced")
class TracedBoxes(HorizontalBoxes):
    """Note by which homographies boxes are moved: ``moves``, which parts share."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.moves: list[np.ndarray] = []

    def __getitem__(self, index: Any) -> "TracedBoxes":
        part = super().__getitem__(index)
        part.moves = self.moves
        return part

    def clone(self) -> "TracedBoxes":
        """Copy the boxes; the copy notes where these do."""
        copy = super().clone()
        copy.moves = self.moves
        return copy

    def flip_(self, img_shape: Sequence[int], direction: str = "horizontal") -> None:
        """Mirror the boxes in an image of ``img_shape`` (H, W), and note it."""
        super().flip_(img_shape, direction)
        move = np.eye(3)
        for axis, other in ((0, "vertical"), (1, "horizontal")):
            if direction != other:
                move[axis] = -move[axis]
                move[axis, 2] = img_shape[1 - axis]
        self.moves.append(move)

    def translate_(self, distances: Sequence[float]) -> None:
        """Shift the boxes by (x, y) pixels, and note it."""
        super().translate_(distances)
        self.moves.append(np.array([[1, 0, distances[0]], [0, 1, distances[1]], _LAST]))

    def rescale_(self, scale_factor: Sequence[float]) -> None:
        """Multiply x and y of the boxes by (x, y) factors, and note it."""
        super().rescale_(scale_factor)
        self.moves.append(np.diag([*scale_factor, 1.0]))

    def rotate_(self, center: Sequence[float], angle: float) -> None:
        """Rotate the boxes by ``angle`` degrees, clockwise, and note it."""
        super().rotate_(center, angle)
        matrix = cv2.getRotationMatrix2D(tuple(center), -angle, 1)
        self.moves.append(np.vstack([matrix, _LAST]))

    def project_(self, homography_matrix: Tensor | np.ndarray) -> None:
        """Move the boxes' corners by a 3 x 3 matrix, and note it."""
        super().project_(homography_matrix)
        self.moves.append(np.array(homography_matrix, dtype=np.float64))


@register_box_converter("nlse_mm_traced", "hbox")
def _as_they_are(boxes: Tensor) -> Tensor:
    """Give overlaps the numbers, which are those of horizontal boxes."""
    return boxes


class MovesKeypoints:
    """Mix into a transform that moves boxes, in front of it: keypoints follow them.

    ``gt_keypoints`` is moved by the matrices that the transform moves ``gt_bboxes`` by,
    keeps the instances that it keeps, and stays (0, 0, 0) where it isn't labelled::

        class ShiftKeypoints(MovesKeypoints, MyShift):
            cuts = True

    The transform has to move boxes by their methods (``flip_``, ``translate_``,
    ``rescale_``, ``rotate_``, ``project_``) and select labels as it selects boxes.

    Raises:
        ConfigError: If the boxes are of another kind than MMDetection's ``hbox``.
    """

    knows_keypoints = True
    cuts = False  # whether parts of the image may get lost, and keypoints with them

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Move image, boxes and keypoints."""
        stock: Any = super()  # the transform that this is mixed into
        if results.get("gt_keypoints") is None:
            return stock.transform(results)
        check_keypoints_moved(results, before=type(self).__name__)
        boxes = results.get("gt_bboxes")
        traced = results["gt_bboxes"] = _traced(boxes, results)
        of_instances = {key: results.get(key) for key in _OF_INSTANCES}
        # ProposalBroadcaster puts proposals into the place of the boxes.
        is_aligned = len(traced) == len(results["gt_keypoints"])
        if is_aligned:  # meanwhile the labels are the instances' numbers
            results["gt_bboxes_labels"] = np.arange(len(traced))
        results = stock.transform(results)
        if results is None:
            return None
        kept = results["gt_bboxes_labels"] if is_aligned else slice(None)
        if is_aligned:
            for key, value in of_instances.items():
                _restore(results, key, None if value is None else value[kept])
        found = results["gt_bboxes"].tensor
        if isinstance(boxes, HorizontalBoxes):
            found = type(boxes)(found, clone=False)
        elif isinstance(boxes, np.ndarray):
            found = found.numpy()
        _restore(results, "gt_bboxes", None if boxes is None else found)
        keypoints = moved_keypoints(results["gt_keypoints"][kept], traced.moves)
        if self.cuts:
            xy, size = keypoints[..., :2], results["img_shape"][1::-1]
            keypoints[~((xy >= 0) & (xy <= size)).all(-1)] = 0
        results["gt_keypoints"] = keypoints
        note_image(results)
        return results


def _traced(
    boxes: HorizontalBoxes | np.ndarray | None, results: dict[str, Any]
) -> TracedBoxes:
    """Copy the boxes, since views of one sample share them."""
    if boxes is None:  # a box of the whole image for each instance
        height, width = results["img"].shape[:2]
        count = len(results["gt_keypoints"])
        whole = np.array([0, 0, width, height], np.float32)
        boxes = np.tile(whole, (count, 1))  # (R, 4)
    if isinstance(boxes, HorizontalBoxes):
        return TracedBoxes(boxes.tensor)
    if not isinstance(boxes, np.ndarray):
        raise ConfigError(
            f"keypoints can't follow boxes of the kind {type(boxes).__name__}: "
            "LoadKeypoints needs box_type='hbox'"
        )
    return TracedBoxes(torch.from_numpy(boxes))


def _restore(results: dict[str, Any], key: str, value: Any) -> None:
    """Put back what was there: None where the key was missing."""
    if value is None:
        results.pop(key, None)
    else:
        results[key] = value


def moved_keypoints(keypoints: np.ndarray, moves: Sequence[np.ndarray]) -> np.ndarray:
    """Move keypoints (R, K, 3) by 3 x 3 matrices, one after another, into a new array.

    Keypoints that aren't labelled become (0, 0, 0).
    """
    matrix = np.eye(3)
    for move in moves:
        matrix = move @ matrix
    ones = np.ones_like(keypoints[..., :1])  # (R, K, 1)
    xyz = np.concatenate((keypoints[..., :2], ones), -1) @ matrix.T  # (R, K, 3)
    xy = xyz[..., :2] / xyz[..., 2:]  # (R, K, 2)
    moved = np.concatenate((xy, keypoints[..., 2:]), -1)  # (R, K, 3)
    moved[keypoints[..., 2] == 0] = 0
    return moved.astype(keypoints.dtype)
