"""Looking at attention, and at what it is good for."""

from .attention import Look, Placement, look, non_local_blocks
from .excitation import ExcitationMeter, last_of_stages
from .heads import Heads, look_at_heads
from .matched_class_accuracy import MatchedClassAccuracy
from .moments import RunningMoments
from .statistics import AttentionMeter
from .statistics_hook import AttentionStatisticsHook
from .watch import watching

__all__ = [
    "AttentionMeter",
    "AttentionStatisticsHook",
    "ExcitationMeter",
    "Heads",
    "Look",
    "MatchedClassAccuracy",
    "Placement",
    "RunningMoments",
    "last_of_stages",
    "look",
    "look_at_heads",
    "non_local_blocks",
    "watching",
]
