"""Load checkpoints safely, save them whole, compare and convert them."""

from nlse_mm.errors import CheckpointError

from .conversion import load_state_dict_from
from .coverage import check_coverage
from .loading import (
    allow_mmengine_types,
    install_checkpoint_loaders,
    is_complete,
    latest_complete,
    load_from_local,
)

__all__ = [
    "CheckpointError",
    "allow_mmengine_types",
    "check_coverage",
    "install_checkpoint_loaders",
    "is_complete",
    "latest_complete",
    "load_from_local",
    "load_state_dict_from",
]

# For whoever imports this alone: published weights load by name, and MMEngine's files.
install_checkpoint_loaders()
