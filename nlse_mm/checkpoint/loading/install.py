"""Install our loaders in MMEngine, when ``nlse_mm.registry`` is imported."""

from mmengine.fileio import register_backend
from mmengine.runner.checkpoint import CheckpointLoader

from . import schemes
from .atomic_backend import BACKEND, AtomicBackend
from .local_loader import load_from_local
from .safe_globals import allow_mmengine_types
from .timm_scheme import load_from_timm

_LOADERS = {
    "": load_from_local,
    "http://": schemes.load_from_http,
    "https://": schemes.load_from_http,
    "torchvision://": schemes.load_from_torchvision,
    "modelzoo://": schemes.load_from_torchvision,
    "open-mmlab://": schemes.load_from_openmmlab,
    "openmmlab://": schemes.load_from_openmmlab,
    "mmcls://": schemes.load_from_mmcls,
    "timm://": load_from_timm,
}


def install_checkpoint_loaders() -> None:
    """Make MMEngine load checkpoints safely on today's PyTorch, wherever they lie.

    In this process, for the toolboxes' own tools as well: MMEngine's loaders of files,
    URLs and ``torchvision://`` names are replaced by ours, ``timm://`` is new, PyTorch
    allows the types that MMEngine's checkpoints hold, and the atomic file backend gets
    its name. Calling it again changes nothing.
    """
    for prefix, loader in _LOADERS.items():
        CheckpointLoader.register_scheme(prefix, loader, force=True)
    allow_mmengine_types()
    register_backend(BACKEND, AtomicBackend, force=True)
