"""Keypoint R-CNN for MMDetection, from the annotation file to the image."""

from .dataset import CocoKeypointDataset
from .follow_boxes import MovesKeypoints
from .formatting import PackKeypoints
from .head import KeypointRCNNHead
from .heatmap import heatmaps_to_keypoints, keypoints_to_heatmap
from .inferencer import KeypointInferencer
from .loading import LoadKeypoints
from .metric import CocoKeypointMetric
from .roi_head import KeypointRoIHead
from .transforms import (
    AffineKeypoints,
    CropKeypoints,
    EraseKeypoints,
    ExpandKeypoints,
    FilterKeypoints,
    FixScaleResizeKeypoints,
    FixShapeResizeKeypoints,
    FlipKeypoints,
    MinIoUCropKeypoints,
    ResizeKeypoints,
    RotateKeypoints,
    ShearXKeypoints,
    ShearYKeypoints,
    TranslateXKeypoints,
    TranslateYKeypoints,
)
from .tta import KeypointTTAModel
from .visualizer import KeypointVisualizer

__all__ = [
    "AffineKeypoints",
    "CocoKeypointDataset",
    "CocoKeypointMetric",
    "CropKeypoints",
    "EraseKeypoints",
    "ExpandKeypoints",
    "FilterKeypoints",
    "FixScaleResizeKeypoints",
    "FixShapeResizeKeypoints",
    "FlipKeypoints",
    "KeypointInferencer",
    "KeypointRCNNHead",
    "KeypointRoIHead",
    "KeypointTTAModel",
    "KeypointVisualizer",
    "LoadKeypoints",
    "MinIoUCropKeypoints",
    "MovesKeypoints",
    "PackKeypoints",
    "ResizeKeypoints",
    "RotateKeypoints",
    "ShearXKeypoints",
    "ShearYKeypoints",
    "TranslateXKeypoints",
    "TranslateYKeypoints",
    "heatmaps_to_keypoints",
    "keypoints_to_heatmap",
]
