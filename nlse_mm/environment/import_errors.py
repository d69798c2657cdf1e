"""Say what is behind the error of a broken environment, and what to do about it."""

import re
import sys
from traceback import walk_tb

from .packages import MMCV, name_and_version

EXTENSION = "mmcv._ext"  # the compiled operators

# What the message of an error has in it, and what that means.
_KNOWN = (
    (
        r"No module named 'pkg_resources'",
        "setuptools 82 and newer lack it: pip install 'setuptools<81'",
    ),
    (
        r"libGL\.so|libgthread|libglib|libxcb|libSM\.so|libXext",
        "OpenCV wants libraries of a desktop: pip uninstall -y opencv-python, then "
        "pip install opencv-python-headless",
    ),
    (
        r"numpy\.dtype size changed|_ARRAY_API|compiled using NumPy 1|"
        r"numpy\.core\.multiarray failed|Numpy is not available",
        "something was compiled for another NumPy: pip install 'numpy<2', or a newer "
        "release of what was compiled",
    ),
    (
        r"torchvision::\w+ does not exist",
        "torchvision was built for another PyTorch: pip uninstall -y torchvision, "
        "which only MMPretrain needs, or its release for the installed PyTorch",
    ),
    (
        r"No module named 'torchvision'",
        "torchvision is missing, which MMPretrain, for one, imports and doesn't ask "
        "for: pip install torchvision, in the release for the installed PyTorch",
    ),
    (
        r"MMCV==\S+ is used but incompatible",
        "pip uninstall -y mmcv, and install mmcv 2.1.0 with its compiled operators",
    ),
    (r"No module named '(ftfy|regex)'", "pip install ftfy regex"),
)
# The file of the compiled operators, which the loader's error comes with.
_COMPILED = re.compile(r"mmcv[/\\]_ext\b")
# What MMPretrain raises for what it no longer finds in transformers: it puts None in
# place of a base class, or takes a name from where it was.
_OF_TRANSFORMERS = re.compile(
    r"NoneType takes no arguments|cannot import name '\w+' from 'transformers\b"
)
# What MMCV raises for an operator that wasn't compiled for the device.
_ON_GPU = re.compile(r"_impl: implementation for device cuda:\d+ not found")
# What CUDA says of what was compiled for other GPUs only.
_OTHER_GPUS = "no kernel image is available"


def reason(error: BaseException) -> str:
    """Return an error's class and message in one line, and what to do where known."""
    message = " ".join(str(error).split())
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    meaning = explain(error)
    return f"{said} ({meaning})" if meaning else said


def explain(error: BaseException) -> str | None:
    """Return what an error means and what to do; None if it isn't known."""
    message = str(error)
    if isinstance(error, ImportError) and (
        error.name == EXTENSION or _COMPILED.search(f"{error.path} {message}")
    ):
        return _of_operators(error)
    if _ON_GPU.search(message):
        return cpu_only()
    if _OTHER_GPUS in message:
        return other_gpus()
    if _OF_TRANSFORMERS.search(message) and _package_of(error) == "mmpretrain":
        return (
            "MMPretrain, where it finds transformers, wants one before 4.52: "
            "pip install 'transformers<4.52', or uninstall whichever of the two isn't "
            "needed"
        )
    return next((why for known, why in _KNOWN if re.search(known, message)), None)


def _package_of(error: BaseException) -> str:
    """Return the package whose code raised an error; empty where none has."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    name = frames[-1].f_globals.get("__name__", "") if frames else ""
    return str(name).partition(".")[0]


def _of_operators(error: ImportError) -> str:
    mmcv = name_and_version(MMCV) or "MMCV"
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{mmcv} has no compiled operators, such as the nms and RoIAlign that "
            f"detectors need: {how_to_compile()}"
        )
    version = getattr(sys.modules.get("torch"), "__version__", "")  # what MMCV imported
    return (
        f"the operators of {mmcv} were compiled for another PyTorch or CUDA than the "
        f"installed PyTorch {version}: {how_to_compile()}"
    )


def cpu_only() -> str:
    """Say that MMCV's operators can't run on a GPU, and what to do."""
    mmcv = name_and_version(MMCV) or "MMCV"
    return (
        f"the operators of {mmcv}, such as nms and RoIAlign, "
        f"were compiled for the CPU only, and PyTorch uses a GPU: "
        f"{how_to_compile(cuda=True)}, which needs CUDA's compiler nvcc"
    )


def other_gpus() -> str:
    """Say that something was compiled for other GPUs, and what to do."""
    mmcv = name_and_version(MMCV) or "MMCV"
    return (
        f"{mmcv}'s operators, or PyTorch, were compiled for other GPUs than the one "
        f"here; for this one MMCV's are compiled by {how_to_compile(cuda=True)}"
    )


def how_to_compile(cuda: bool = False) -> str:
    """Return the commands that compile MMCV's operators for the installed PyTorch."""
    name, _, version = (name_and_version(MMCV) or "mmcv 2.1.0").partition(" ")
    flag = " FORCE_CUDA=1" if cuda else ""
    if _wants_cpp20():  # and MMCV's own setup.py asks for C++17
        return f"pip uninstall -y {name};{flag} tools/install.sh in a clone of nlse_mm"
    compiled = name if name.startswith("onedl") else "mmcv"
    if compiled == "mmcv":
        version = "2.1.0"  # toolboxes refuse the only newer one
    before = f"pip uninstall -y {name}; " if name != compiled else ""
    before += "pip install 'setuptools<81' wheel ninja psutil; "
    return (
        f"{before}MMCV_WITH_OPS=1{flag} pip install --force-reinstall --no-deps "
        f"--no-cache-dir --no-build-isolation --no-binary={compiled} "
        f"{compiled}=={version}"
    )


def _wants_cpp20() -> bool:
    version = getattr(sys.modules.get("torch"), "__version__", "0")  # what was imported
    return tuple(int(part) for part in version.split(".")[:2]) >= (2, 14)
