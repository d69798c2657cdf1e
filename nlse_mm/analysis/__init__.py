"""Looking at attention."""

from .attention import Look, Placement, look, non_local_blocks
from .excitation import ExcitationMeter, last_of_stages
from .heads import Heads, look_at_heads
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
    "Placement",
    "RunningMoments",
    "last_of_stages",
    "look",
    "look_at_heads",
    "non_local_blocks",
    "watching",
]
