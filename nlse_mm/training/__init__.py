"""Hooks, and what the launchers need: exact resuming, validation, distributed CPUs.

MMEngine imports this when a config names one of the hooks or ``seed_worker``.
"""

from .average_buffers import AverageBuffersHook
from .check_agreement import CheckAgreementHook
from .check_plugins import CheckPluginsHook
from .check_weights import CheckWeightsHook
from .checkpoint_hook import CheckpointHook
from .evaluate_finished import EvaluateFinishedHook
from .linear_non_local import LinearNonLocalHook
from .reseed import ReseedHook
from .seed_worker import seed_worker

__all__ = [
    "AverageBuffersHook",
    "CheckAgreementHook",
    "CheckPluginsHook",
    "CheckWeightsHook",
    "CheckpointHook",
    "EvaluateFinishedHook",
    "LinearNonLocalHook",
    "ReseedHook",
    "seed_worker",
]
