"""MMDetection's transforms, with keypoints: each is the stock one and one step more.

Between the transforms keypoints are ``gt_keypoints`` (R, K, 3): x, y in pixels of the
image as it is then, and visibility. Keypoints that aren't labelled stay (0, 0, 0).
Padding adds pixels on the right and below, so that the stock ``Pad`` serves.
"""

import numpy as np
import torch
from mmdet.datasets.transforms import (
    Expand,
    FilterAnnotations,
    FixScaleResize,
    FixShapeResize,
    LoadAnnotations,
    MinIoURandomCrop,
    PackDetInputs,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    Resize,
    Rotate,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
)

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import TRANSFORMS

from .follow_boxes import MovesKeypoints
from .image_size import check_image_size
from .moved import check_keypoints_moved, is_of_original_image, note_image


@TRANSFORMS.register_module()
@checked
class LoadKeypoints(LoadAnnotations):
    """``LoadAnnotations`` and the keypoints of ``CocoKeypointDataset``.

    Raises:
        ValueError: If the data set gives instances without keypoints.
    """

    def transform(self, results: dict) -> dict:
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


@TRANSFORMS.register_module()
@checked
class ResizeKeypoints(MovesKeypoints, Resize):
    """``Resize``, keypoints too; also as ``resize_type`` of the random ones."""


@TRANSFORMS.register_module()
@checked
class FixScaleResizeKeypoints(MovesKeypoints, FixScaleResize):
    """``FixScaleResize``, keypoints too."""


@TRANSFORMS.register_module()
@checked
class FixShapeResizeKeypoints(MovesKeypoints, FixShapeResize):
    """``FixShapeResize``, keypoints too."""


@TRANSFORMS.register_module()
@checked
class FlipKeypoints(MovesKeypoints, RandomFlip):
    """``RandomFlip``; left keypoints become right ones where the image is mirrored.

    A horizontal or a vertical flip mirrors; a diagonal one only turns.

    Raises:
        ValueError: If there are keypoints whose ``flip_pairs`` are unknown.
    """

    def _flip(self, results: dict) -> None:
        super()._flip(results)
        keypoints = results.get("gt_keypoints")
        if keypoints is None or keypoints.size == 0:
            return
        if results["flip_direction"] == "diagonal":
            return
        indices = results.get("flip_indices")
        if indices is None:
            raise ConfigError(
                "a flip needs to know which keypoints are left and right: metainfo "
                "flip_pairs is None; give the pairs, or take the flip out"
            )
        results["gt_keypoints"] = keypoints[:, indices]


@TRANSFORMS.register_module()
@checked
class CropKeypoints(MovesKeypoints, RandomCrop):
    """``RandomCrop``; keypoints outside the crop are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class MinIoUCropKeypoints(MovesKeypoints, MinIoURandomCrop):
    """``MinIoURandomCrop``; keypoints outside the crop are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class ExpandKeypoints(MovesKeypoints, Expand):
    """``Expand``, keypoints too."""


@TRANSFORMS.register_module()
@checked
class AffineKeypoints(MovesKeypoints, RandomAffine):
    """``RandomAffine``; keypoints outside the image are no longer labelled.

    Keypoints are moved by the boxes' matrix, which takes pixels for points: on the
    image they are off by up to half a pixel times the change of scale.

    Raises:
        ValueError: If masks are loaded, which ``RandomAffine`` doesn't move.
    """

    cuts = True

    def transform(self, results: dict) -> dict | None:
        """Move image, boxes and keypoints."""
        if "gt_masks" in results:
            raise ConfigError(
                f"{type(self).__name__} moves no masks: load the keypoints with "
                "with_mask=False, or use nlse_mm.RotateKeypoints, ShearXKeypoints or "
                "TranslateXKeypoints, which move them"
            )
        return super().transform(results)


@TRANSFORMS.register_module()
@checked
class RotateKeypoints(MovesKeypoints, Rotate):
    """``Rotate``; keypoints outside the image are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class ShearXKeypoints(MovesKeypoints, ShearX):
    """``ShearX``; keypoints outside the image are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class ShearYKeypoints(MovesKeypoints, ShearY):
    """``ShearY``; keypoints outside the image are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class TranslateXKeypoints(MovesKeypoints, TranslateX):
    """``TranslateX``; keypoints outside the image are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class TranslateYKeypoints(MovesKeypoints, TranslateY):
    """``TranslateY``; keypoints outside the image are no longer labelled."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class EraseKeypoints(MovesKeypoints, RandomErasing):
    """``RandomErasing``; boxes that it drops drop their keypoints.

    Keypoints in an erased patch stay labelled, as boxes stay whole.
    """


@TRANSFORMS.register_module()
@checked
class FilterKeypoints(MovesKeypoints, FilterAnnotations):
    """``FilterAnnotations``; boxes that it drops drop their keypoints."""


@TRANSFORMS.register_module()
@checked
class PackKeypoints(PackDetInputs):
    """``PackDetInputs``, and ``keypoints`` (R, K, 2), ``keypoints_visible`` (R, K).

    Raises:
        ValueError: If boxes and keypoints aren't of the same instances, or the image
            was moved without its keypoints.
    """

    def transform(self, results: dict) -> dict:
        """Pack one sample."""
        packed = super().transform(results)
        if "gt_keypoints" not in results:
            return packed
        check_keypoints_moved(results, before=type(self).__name__)
        sample = packed["data_samples"]
        keypoints = torch.as_tensor(results["gt_keypoints"])
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
            chosen = torch.from_numpy(chosen)
            instances.keypoints = keypoints[chosen][..., :2]
            instances.keypoints_visible = keypoints[chosen][..., 2]
        return packed
