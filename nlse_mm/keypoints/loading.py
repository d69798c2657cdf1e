"""Load keypoints, (R, K, 3) of R instances: x, y in pixels, and visibility."""

from typing import Any

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import TRANSFORMS

from .image_size import check_image_size
from .moved import is_of_original_image, note_image


@TRANSFORMS.register_module()
@checked
class LoadKeypoints(LoadAnnotations):
    """Load as ``LoadAnnotations``, and the keypoints of ``CocoKeypointDataset``.

    Raises:
        ConfigError: If the data set gives instances without keypoints.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the annotations of one image."""
        check_image_size(results)
        results = super().transform(results)
        K = results.get("num_keypoints", 0)
        instances = results.get("instances", [])
        if any("keypoints" not in instance for instance in instances):
            raise ConfigError(
                f"{type(self).__name__} needs a data set whose instances have "
                "keypoints: type='nlse_mm.CocoKeypointDataset'"
            )
        keypoints = [instance["keypoints"] for instance in instances]
        stacked = np.array(keypoints, dtype=np.float32).reshape(len(keypoints), K, 3)
        results["gt_keypoints"] = stacked
        # As the test pipelines have it: the ground truth of the original image.
        results["gt_of_original_image"] = is_of_original_image(results)
        note_image(results)
        return results
