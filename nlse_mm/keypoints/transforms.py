"""MMDetection's transforms, with joints: each is the stock one and one step more.

Between the transforms joints are ``gt_keypoints`` (R, K, 3): x, y in pixels of the
image as it is then, and visibility. Joints that aren't labelled stay (0, 0, 0). Padding
adds pixels on the right and below, so that the stock ``Pad`` serves.
"""

import numpy as np
import torch
from mmdet.datasets.transforms import (
    LoadAnnotations,
    PackDetInputs,
    RandomCrop,
    RandomFlip,
    Resize,
)

from nlse_mm.arguments import checked
from nlse_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
@checked
class LoadKeypoints(LoadAnnotations):
    """``LoadAnnotations`` and the joints of ``CocoKeypointDataset``."""

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        K = results.get("num_keypoints", 0)
        keypoints = [i["keypoints"] for i in results.get("instances", [])]
        stacked = np.array(keypoints, dtype=np.float32).reshape(len(keypoints), K, 3)
        results["gt_keypoints"] = stacked
        return results


@TRANSFORMS.register_module()
@checked
class ResizeKeypoints(Resize):
    """``Resize``, joints too."""

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        if "gt_keypoints" in results:
            scale = np.array([*results["scale_factor"], 1], np.float32)  # w, h
            results["gt_keypoints"] = results["gt_keypoints"] * scale
        return results


@TRANSFORMS.register_module()
@checked
class FlipKeypoints(RandomFlip):
    """``RandomFlip``; left joints become right ones where the picture is mirrored.

    A horizontal or a vertical flip mirrors; a diagonal one only turns.

    Raises:
        ValueError: If there are joints whose ``flip_pairs`` are unknown.
    """

    def _flip(self, results: dict) -> None:
        # TestTimeAug hands the same boxes and joints to every view.
        if "gt_bboxes" in results:
            results["gt_bboxes"] = results["gt_bboxes"].clone()
        super()._flip(results)
        if "gt_keypoints" not in results:
            return
        direction = results["flip_direction"]
        keypoints = results["gt_keypoints"].copy()
        height, width = results["img_shape"]
        labelled = keypoints[..., 2] > 0
        for axis, size, other in ((0, width, "vertical"), (1, height, "horizontal")):
            if direction != other:
                mirrored = size - keypoints[..., axis]
                keypoints[..., axis] = np.where(labelled, mirrored, 0)
        results["gt_keypoints"] = keypoints
        if direction == "diagonal" or keypoints.size == 0:
            return
        indices = results.get("flip_indices")
        if indices is None:
            raise ValueError(
                "a flip needs to know which joints are left and right: metainfo "
                "flip_pairs is None; give the pairs, or take the flip out"
            )
        results["gt_keypoints"] = keypoints[:, indices]


@TRANSFORMS.register_module()
@checked
class CropKeypoints(RandomCrop):
    """``RandomCrop``; joints outside the crop are no longer labelled."""

    def _crop_data(self, results: dict, *args, **kwargs) -> dict | None:
        if "gt_keypoints" not in results:
            return super()._crop_data(results, *args, **kwargs)
        keypoints = results["gt_keypoints"]
        before = results.get("homography_matrix")
        # The stock crop drops boxes; what it does to ids tells which.
        ids = results.pop("gt_instances_ids", None)
        results["gt_instances_ids"] = np.arange(len(keypoints))
        results = super()._crop_data(results, *args, **kwargs)
        if results is None:
            return None
        kept = results.pop("gt_instances_ids")
        if ids is not None:
            results["gt_instances_ids"] = ids[kept]
        after = results["homography_matrix"]
        step = after if before is None else after @ np.linalg.inv(before)
        keypoints = keypoints[kept]
        keypoints[..., :2] += np.round(step[:2, 2])  # an integer, inverted in float32
        height, width = results["img_shape"]
        xy = keypoints[..., :2]
        inside = ((xy >= 0) & (xy <= (width, height))).all(-1)
        keypoints[~inside | (keypoints[..., 2] == 0)] = 0
        results["gt_keypoints"] = keypoints
        return results


@TRANSFORMS.register_module()
@checked
class PackKeypoints(PackDetInputs):
    """``PackDetInputs``, and ``keypoints`` (R, K, 2), ``keypoints_visible`` (R, K)."""

    def transform(self, results: dict) -> dict:
        packed = super().transform(results)
        if "gt_keypoints" not in results:
            return packed
        sample = packed["data_samples"]
        keypoints = torch.as_tensor(results["gt_keypoints"])
        ignored = np.zeros(len(keypoints), dtype=bool)
        ignored |= np.asarray(results.get("gt_ignore_flags", ignored), dtype=bool)
        for instances, chosen in (
            (sample.gt_instances, ~ignored),
            (sample.ignored_instances, ignored),
        ):
            chosen = torch.from_numpy(chosen)
            if len(instances) in (0, int(chosen.sum())):
                instances.keypoints = keypoints[chosen][..., :2]
                instances.keypoints_visible = keypoints[chosen][..., 2]
        return packed
