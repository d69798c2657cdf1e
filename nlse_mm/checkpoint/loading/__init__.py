"""Load checkpoints safely, by path or name; save them whole; find the one to resume."""

from .install import install_checkpoint_loaders
from .local_loader import load_from_local
from .resume import is_complete, latest_complete
from .safe_globals import allow_mmengine_types

__all__ = [
    "allow_mmengine_types",
    "install_checkpoint_loaders",
    "is_complete",
    "latest_complete",
    "load_from_local",
]
