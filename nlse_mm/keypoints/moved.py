"""Check while a sample is made that keypoints move with their image.

``check_pipeline`` refuses what is known to leave keypoints behind before the training.
Here is what it can't know: transforms of the user's own, and pipelines outside the data
set (``MultiImageMixDataset``).
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from mmdet.structures.bbox import BaseBoxes
from mmengine.dataset import Compose

from nlse_mm.errors import ConfigError

NOTE = "gt_keypoints_note"


def note_image(results: dict[str, Any]) -> None:
    """Note that ``gt_keypoints`` lie where they belong on the image as it is now."""
    results[NOTE] = (_geometry(results), results["gt_keypoints"].copy())


def check_keypoints_moved(results: dict[str, Any], before: str) -> None:
    """Check that nothing has moved the image since ``note_image`` without keypoints.

    Raises:
        ConfigError: Naming ``before``, the transform that found it.
    """
    if NOTE not in results:
        return
    geometry, keypoints = results[NOTE]
    now = results["gt_keypoints"]
    if np.array_equal(now, keypoints) and _is_moved(now, geometry, _geometry(results)):
        raise ConfigError(
            f"a transform before {before} has moved the image and not the keypoints: "
            "use nlse_mm's own, such as nlse_mm.ResizeKeypoints for Resize and "
            "nlse_mm.FlipKeypoints for RandomFlip"
        )


def is_of_original_image(results: dict[str, Any]) -> bool:
    """Say whether the image was moved before its keypoints were loaded."""
    return _is_moved(results["gt_keypoints"], _geometry({}), _geometry(results))


Geometry = tuple[np.ndarray | None, tuple[float, ...], str | None]


def _geometry(results: dict[str, Any]) -> Geometry:
    """Return homography, scale factors and flip, as MMDetection writes them."""
    scale = results.get("scale_factor")
    scale = np.ravel(1.0 if scale is None else scale)
    scale = (1.0, 1.0) if np.allclose(scale, 1) else tuple(map(float, scale))
    flip = results.get("flip_direction") if results.get("flip") else None
    return results.get("homography_matrix"), scale, flip


def _is_moved(keypoints: np.ndarray, before: Geometry, now: Geometry) -> bool:
    """Say whether the labelled keypoints would lie elsewhere, by more than a pixel."""
    labelled = keypoints[keypoints[..., 2] > 0]  # (n, 3)
    if len(labelled) == 0:
        return False
    if before[0] is None and now[0] is None:
        return before[1:] != now[1:]
    first, last = (np.eye(3) if m is None else m for m in (before[0], now[0]))
    step = np.asarray(last, np.float64) @ np.linalg.inv(np.asarray(first, np.float64))
    points = np.concatenate(
        (labelled[:, :2], np.ones((len(labelled), 1))), -1
    )  # (n, 3)
    moved = points @ step.T  # (n, 3)
    return bool(np.abs(moved[:, :2] / moved[:, 2:] - points[:, :2]).max() > 1)


class PipelineWithChecks(Compose):
    """Run transforms, and check that the unknown ones move keypoints.

    Args:
        transforms: Built transforms.
        unknown: Indices of those of which nobody knows what they do to keypoints.

    Raises:
        ConfigError: If one of these moves the image and its boxes, or drops boxes, and
            leaves ``gt_keypoints`` as they were.
    """

    def __init__(
        self, transforms: Sequence[Callable], unknown: Collection[int]
    ) -> None:
        super().__init__(transforms)
        self.unknown = set(unknown)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """Make a sample; None where a transform gives it up."""
        for i, transform in enumerate(self.transforms):
            before = _snapshot(data) if i in self.unknown else None
            data = transform(data)
            if data is None:
                return None
            if before is not None:
                _compare(before, _snapshot(data), type(transform).__name__)
        return data


Snapshot = tuple[np.ndarray, np.ndarray, np.ndarray]


def _snapshot(data: dict[str, Any]) -> Snapshot | None:
    """Copy image, boxes and keypoints; None where one is missing."""
    image, keypoints = data.get("img"), data.get("gt_keypoints")
    boxes = data.get("gt_bboxes")
    if image is None or keypoints is None or boxes is None:
        return None
    boxes = boxes.numpy() if isinstance(boxes, BaseBoxes) else boxes
    return image.copy(), np.array(boxes), keypoints.copy()


def _compare(before: Snapshot, after: Snapshot | None, name: str) -> None:
    """Refuse a transform that changed image or boxes, and not the keypoints."""
    if after is None or not (before[2][..., 2] > 0).any():
        return
    if not np.array_equal(before[2], after[2]):
        return
    what = None
    if len(before[1]) != len(after[1]):
        what = "changes the number of boxes"
    elif _is_other_view(before[0], after[0]):
        if before[0].shape != after[0].shape:
            what = "changes the size of the image"
        elif np.abs(before[1] - after[1]).max(initial=0) > 1:
            what = "moves image and boxes"
    elif _is_reordered(before[1], after[1]):
        what = "changes the order of the boxes"
    if what:
        raise ConfigError(
            f"{name} {what} and leaves the keypoints as they were: let it move "
            "results['gt_keypoints'] (R, K, 3) too, or put "
            "nlse_mm.keypoints.MovesKeypoints in front of the class it inherits from"
        )


def _is_other_view(before: np.ndarray, after: np.ndarray) -> bool:
    """Say whether most pixels differ in what both images have from the top left corner.

    Padding and cutting on the right and below leave these as they are, and so do boxes
    that are drawn or erased; changes of colour differ by the boxes, which stay.
    """
    if before.ndim != after.ndim or before.shape[2:] != after.shape[2:]:
        return False
    height, width = np.minimum(before.shape[:2], after.shape[:2])
    differ = before[:height, :width] != after[:height, :width]  # (h, w) or (h, w, C)
    return bool(differ.reshape(height, width, -1).any(-1).mean() > 0.5)


def _is_reordered(before: np.ndarray, after: np.ndarray) -> bool:
    """Say whether the boxes are the same ones in another order."""
    return not np.array_equal(before, after) and sorted(before.tolist()) == sorted(
        after.tolist()
    )
