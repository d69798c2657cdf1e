"""Semantic segmentation with MMSegmentation: the non-local head, and its data."""

from .coco_panoptic_semantic import CocoPanopticSemanticDataset
from .load_seg_labels import LoadSegLabels
from .nl_head import NLHead

__all__ = ["CocoPanopticSemanticDataset", "LoadSegLabels", "NLHead"]
