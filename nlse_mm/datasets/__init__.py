"""Data sets for semantic segmentation with MMSegmentation."""

from .coco_panoptic_semantic import CocoPanopticSemanticDataset
from .load_seg_labels import LoadSegLabels

__all__ = ["CocoPanopticSemanticDataset", "LoadSegLabels"]
