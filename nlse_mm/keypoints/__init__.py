"""Keypoint R-CNN for MMDetection, from the annotation file to the picture."""

from .dataset import CocoKeypointDataset
from .head import KeypointRCNNHead
from .heatmap import heatmaps_to_keypoints, keypoints_to_heatmap
from .metric import CocoKeypointMetric
from .roi_head import KeypointRoIHead
from .transforms import (
    CropKeypoints,
    FlipKeypoints,
    LoadKeypoints,
    PackKeypoints,
    ResizeKeypoints,
)
from .tta import KeypointTTAModel
from .visualizer import KeypointVisualizer

__all__ = [
    "CocoKeypointDataset",
    "CocoKeypointMetric",
    "CropKeypoints",
    "FlipKeypoints",
    "KeypointRCNNHead",
    "KeypointRoIHead",
    "KeypointTTAModel",
    "KeypointVisualizer",
    "LoadKeypoints",
    "PackKeypoints",
    "ResizeKeypoints",
    "heatmaps_to_keypoints",
    "keypoints_to_heatmap",
]
