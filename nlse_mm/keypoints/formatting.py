"""Pack keypoints for the model."""

from typing import Any

import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import TRANSFORMS

from .moved import check_keypoints_moved


@TRANSFORMS.register_module()
@checked
class PackKeypoints(PackDetInputs):
    """Pack as ``PackDetInputs``, and keypoints (R, K, 2), keypoints_visible (R, K).

    Raises:
        ConfigError: If boxes and keypoints aren't of the same instances, or the image
            was moved without its keypoints.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack one sample."""
        packed = super().transform(results)
        if "gt_keypoints" not in results:
            return packed
        check_keypoints_moved(results, before=type(self).__name__)
        sample = packed["data_samples"]
        keypoints = torch.as_tensor(results["gt_keypoints"])  # (R, K, 3)
        boxes = results.get("gt_bboxes")
        if boxes is not None and len(boxes) != len(keypoints):
            raise ConfigError(
                f"an image has {len(boxes)} boxes and keypoints of {len(keypoints)} "
                f"instances when {type(self).__name__} gets them: a transform before "
                "it adds or drops boxes and not their keypoints (Mosaic, MixUp and "
                "CopyPaste do; nlse_mm.FilterKeypoints stands for FilterAnnotations)"
            )
        if results.get("gt_of_original_image"):
            sample.set_metainfo(dict(gt_of_original_image=True))
        ignored = np.zeros(len(keypoints), dtype=bool)
        ignored |= np.asarray(results.get("gt_ignore_flags", ignored), dtype=bool)
        for instances, chosen in (
            (sample.gt_instances, ~ignored),
            (sample.ignored_instances, ignored),
        ):
            own = keypoints[torch.from_numpy(chosen)]
            instances.keypoints = own[..., :2]
            instances.keypoints_visible = own[..., 2]
        return packed
