"""Checkpoints on today's PyTorch: loaded safely, saved whole, resumed from.

Importing this package, which ``nlse_mm.registry`` does, is enough for MMEngine's own
loading, in the toolboxes' tools too.
"""

from . import schemes as _schemes  # noqa: F401
from . import timm_scheme as _timm_scheme  # noqa: F401
from .atomic_hook import CheckpointHook
from .coverage import check_coverage
from .local_loader import CheckpointError, load_from_local
from .published import load_state_dict_from
from .resume import is_complete, latest_complete
from .safe_globals import allow_mmengine_types

__all__ = [
    "CheckpointError",
    "CheckpointHook",
    "allow_mmengine_types",
    "check_coverage",
    "is_complete",
    "latest_complete",
    "load_from_local",
    "load_state_dict_from",
]

allow_mmengine_types()
