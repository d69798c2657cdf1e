"""Move keypoints with MMDetection's transforms: each is the stock one and a step more.

Between the transforms keypoints are ``gt_keypoints`` (R, K, 3): x, y in pixels of the
image as it is then, and visibility. Keypoints that aren't labelled stay (0, 0, 0).
Padding adds pixels on the right and below, so that the stock ``Pad`` serves.
"""

from typing import Any

from mmdet.datasets.transforms import (
    Expand,
    FilterAnnotations,
    FixScaleResize,
    FixShapeResize,
    MinIoURandomCrop,
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


@TRANSFORMS.register_module()
@checked
class ResizeKeypoints(MovesKeypoints, Resize):
    """Move keypoints with ``Resize``, also as ``resize_type`` of the random ones."""


@TRANSFORMS.register_module()
@checked
class FixScaleResizeKeypoints(MovesKeypoints, FixScaleResize):
    """Move keypoints with ``FixScaleResize``."""


@TRANSFORMS.register_module()
@checked
class FixShapeResizeKeypoints(MovesKeypoints, FixShapeResize):
    """Move keypoints with ``FixShapeResize``."""


@TRANSFORMS.register_module()
@checked
class FlipKeypoints(MovesKeypoints, RandomFlip):
    """Flip keypoints with ``RandomFlip``: left ones become right where it mirrors.

    A horizontal or a vertical flip mirrors; a diagonal one only turns.

    Raises:
        ConfigError: If there are keypoints whose ``flip_pairs`` are unknown.
    """

    def _flip(self, results: dict[str, Any]) -> None:
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
        results["gt_keypoints"] = keypoints[:, indices]  # (R, K, 3)


@TRANSFORMS.register_module()
@checked
class CropKeypoints(MovesKeypoints, RandomCrop):
    """Move keypoints with ``RandomCrop``; outside the crop they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class MinIoUCropKeypoints(MovesKeypoints, MinIoURandomCrop):
    """Move keypoints with ``MinIoURandomCrop``; outside it they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class ExpandKeypoints(MovesKeypoints, Expand):
    """Move keypoints with ``Expand``."""


@TRANSFORMS.register_module()
@checked
class AffineKeypoints(MovesKeypoints, RandomAffine):
    """Move keypoints with ``RandomAffine``; outside the image they lose their label.

    Keypoints are moved by the boxes' matrix, which takes pixels for points: on the
    image they are off by up to half a pixel times the change of scale.

    Raises:
        ConfigError: If masks are loaded, which ``RandomAffine`` doesn't move.
    """

    cuts = True

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
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
    """Move keypoints with ``Rotate``; outside the image they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class ShearXKeypoints(MovesKeypoints, ShearX):
    """Move keypoints with ``ShearX``; outside the image they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class ShearYKeypoints(MovesKeypoints, ShearY):
    """Move keypoints with ``ShearY``; outside the image they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class TranslateXKeypoints(MovesKeypoints, TranslateX):
    """Move keypoints with ``TranslateX``; outside the image they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class TranslateYKeypoints(MovesKeypoints, TranslateY):
    """Move keypoints with ``TranslateY``; outside the image they lose their label."""

    cuts = True


@TRANSFORMS.register_module()
@checked
class EraseKeypoints(MovesKeypoints, RandomErasing):
    """Drop with each box that ``RandomErasing`` drops its keypoints.

    Keypoints in an erased patch stay labelled, as boxes stay whole.
    """


@TRANSFORMS.register_module()
@checked
class FilterKeypoints(MovesKeypoints, FilterAnnotations):
    """Drop with each box that ``FilterAnnotations`` drops its keypoints."""
