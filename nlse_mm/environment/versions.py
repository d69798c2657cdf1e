"""Find the versions of Python, PyTorch, NumPy and what else the toolboxes stand on."""

import platform
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from nlse_mm import __version__

from .findings import Finding
from .import_errors import reason

SECTION = "Python and PyTorch"


def versions() -> Iterator[Finding]:
    """Yield what is installed below OpenMMLab, and whether it is new enough."""
    yield Finding(
        SECTION, "ok", "nlse_mm", f"{__version__}, {Path(__file__).parents[1]}"
    )
    yield Finding(
        SECTION, "ok", "Python", f"{platform.python_version()}, {sys.executable}"
    )
    yield _torch()
    if find_spec("torch"):
        yield _gpus()
    yield _numpy()
    yield _imported("OpenCV", "cv2", "pip install opencv-python")
    if find_spec("torchvision"):
        yield _imported("torchvision", "torchvision", "")
    yield _pkg_resources()


def _torch() -> Finding:
    if not find_spec("torch"):
        return Finding(SECTION, "broken", "PyTorch", "not installed: pip install torch")
    try:
        import torch

        from nlse_mm.torch_version import too_old
    except Exception as error:  # an import is a program: anything may come out of it
        return Finding(SECTION, "broken", "PyTorch", reason(error))
    version = torch.__version__
    if why := too_old(version):
        return Finding(SECTION, "broken", "PyTorch", why)
    hip = getattr(torch.version, "hip", None)
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
    built = f"ROCm {hip}" if hip else built
    return Finding(SECTION, "ok", "PyTorch", f"{version}, built for {built}")


def _gpus() -> Finding:
    try:
        from torch import cuda

        names = [cuda.get_device_name(i) for i in range(cuda.device_count())]
        usable = cuda.is_available()
    except Exception as error:
        return Finding(SECTION, "broken", "GPUs", reason(error))
    if not usable:
        return Finding(SECTION, "missing", "GPUs", "none that PyTorch can use")
    kinds = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    return Finding(SECTION, "ok", "GPUs", ", ".join(kinds))


def _numpy() -> Finding:
    found = _imported("NumPy", "numpy", "pip install numpy")
    if found.mark != "ok" or not find_spec("torch"):
        return found
    try:
        import torch

        torch.zeros(1).numpy()
    except Exception as error:  # compiled for another NumPy
        text = f"PyTorch can't use NumPy {found.text}: {reason(error)}"
        return Finding(SECTION, "broken", "NumPy", text)
    return found


def _imported(name: str, package: str, install: str) -> Finding:
    if not find_spec(package):
        text = f"not installed: {install}"
        return Finding(SECTION, "broken", name, text)
    try:
        version = import_module(package).__version__
    except Exception as error:
        return Finding(SECTION, "broken", name, reason(error))
    return Finding(SECTION, "ok", name, version)


def _pkg_resources() -> Finding:
    """Ask MMEngine for a package, as a base such as ``'mmengine::...'`` makes it do."""
    name = "setuptools"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pkg_resources' own, of its end
            import_module("mmengine.utils").is_installed("mmengine")
    except ModuleNotFoundError as error:
        if error.name == "pkg_resources":
            text = f"MMEngine can't find bases such as 'mmengine::': {reason(error)}"
            return Finding(SECTION, "broken", name, text)
    except Exception:  # MMEngine's own finding says it
        pass
    try:
        return Finding(SECTION, "ok", name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(SECTION, "missing", name, "not needed to run")
