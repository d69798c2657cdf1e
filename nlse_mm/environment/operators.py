"""Tell what MMCV's compiled operators can do, and which models need them on a GPU."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from nlse_mm.errors import MissingPackageError

from .import_errors import EXTENSION, explain

if TYPE_CHECKING:
    from torch import nn

# What detectors and the heads of segmentation models call, by the names in mmcv._ext.
USED = {
    "nms": "nms",
    "RoIAlign": "roi_align_forward",
    "focal loss": "sigmoid_focal_loss_forward",
    "deformable convolution": "modulated_deform_conv_forward",
    "deformable attention": "ms_deform_attn_forward",
    "SyncBN": "sync_bn_forward_mean",
}
_CPU_ONLY = "not available"  # a build for AMD cards says 'rocm not available'


def compiled_cuda() -> str | None:
    """Return what GPUs the operators were compiled for, ``'CUDA 12.1'``; None if none.

    Not to be asked beside a GPU, where :func:`why_not_on_gpu` says more, and where a
    build that is linked statically with C++'s standard library crashed on the answer.

    Raises:
        ImportError: If there are none, or they can't be loaded.
    """
    version = import_module(EXTENSION).get_compiling_cuda_version()
    if version == _CPU_ONLY:
        return None
    return "ROCm" if "rocm" in version else f"CUDA {version}"


def missing_operators() -> list[str]:
    """Return which of the operators in ``USED`` weren't compiled."""
    extension = import_module(EXTENSION)
    return [name for name, called in USED.items() if not hasattr(extension, called)]


def has_gpu() -> bool:
    """Tell whether PyTorch has a GPU here."""
    import torch

    return torch.cuda.is_available()


def why_not_on_gpu() -> str | None:
    """Return why the GPU here can't run MMCV's operators; None if it can.

    One of them is run: they may be for the CPU only, or for other GPUs.

    Raises:
        ImportError: If there are none, or they can't be loaded.
    """
    import_module(EXTENSION)
    try:
        run_operator("cuda")
    except RuntimeError as error:
        if why := explain(error):
            return why
        raise  # the GPU itself, full or busy
    return None


def run_operator(device: str) -> None:
    """Suppress one box on a device, which raises what keeps the operators from it."""
    import torch
    from mmcv.ops import nms

    box = torch.tensor([[0.0, 0.0, 4.0, 4.0]], device=device)
    nms(box, torch.ones(1, device=device), 0.5)


def check_operators(model: "nn.Module", training: bool) -> None:
    """Raise MissingPackageError if a model on a GPU calls an operator that isn't there.

    Models that call none, as most that segment, run with operators for the CPU only.

    Args:
        model: As it is built, on its device.
        training: Whether losses will be computed.
    """
    devices = {parameter.device.type for parameter in model.parameters()}
    if "cuda" not in devices or not (callers := callers_of_operators(model, training)):
        return
    if why := why_not_on_gpu():
        raise MissingPackageError(f"{', '.join(callers[:3])} can't run: {why}")


def callers_of_operators(model: "nn.Module", training: bool) -> list[str]:
    """Return the classes in a model that call compiled operators on a GPU."""
    found = {type(m).__name__ for m in model.modules() if _calls(m, training)}
    return sorted(found)


def _calls(module: "nn.Module", training: bool) -> bool:
    """Tell whether it is an operator of MMCV, suppresses boxes, or is a focal loss."""
    cls = type(module)
    if _is_operator(cls) or "nms" in (getattr(module, "test_cfg", None) or {}):
        return True
    if not training or not cls.__name__.endswith("FocalLoss"):
        return False
    file = sys.modules.get(cls.__module__)
    return any(map(_is_operator, vars(file).values())) if file else False


def _is_operator(value: object) -> bool:
    """Tell whether a class, or a function's ``apply``, calls the compiled module."""
    where = getattr(getattr(value, "__self__", value), "__module__", None)
    if not isinstance(where, str) or not where.startswith("mmcv.ops."):
        return False
    return hasattr(sys.modules.get(where), "ext_module")
