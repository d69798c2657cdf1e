"""Attention maps, excitations, costs, and whether boxes get the right class."""

from .attention import AttentionMap, attention_maps
from .attention_meter import AttentionMeter
from .capture import capture_outputs
from .clip_attention import ClipAttention, check_frames, clip_attention
from .excitation import ExcitationMeter, last_of_stages
from .heads import Heads, measure_heads
from .image_geometry import ImageGeometry
from .matched_class_accuracy import MatchedClassAccuracy
from .methods import attention_blocks, excitation_layers
from .moments import RunningMoments
from .statistics_hook import AttentionStatisticsHook

__all__ = [
    "AttentionMap",
    "AttentionMeter",
    "AttentionStatisticsHook",
    "ClipAttention",
    "ExcitationMeter",
    "Heads",
    "ImageGeometry",
    "MatchedClassAccuracy",
    "RunningMoments",
    "attention_blocks",
    "attention_maps",
    "capture_outputs",
    "check_frames",
    "clip_attention",
    "excitation_layers",
    "last_of_stages",
    "measure_heads",
]
