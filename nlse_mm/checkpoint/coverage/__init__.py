"""Compare a checkpoint with a model, and find what would stay untrained."""

from .check import check_coverage
from .dry_load import own_state, unwrapped
from .weights import weights_of

__all__ = ["check_coverage", "own_state", "unwrapped", "weights_of"]
