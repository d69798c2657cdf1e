"""Find which distributions the OpenMMLab packages come from.

The OneDL forks, and MMCV's variants, have names of their own for pip and share those to
import, so that two of them in one folder overwrite each other's files.
"""

import re
from dataclasses import dataclass
from importlib import metadata

from nlse_mm.errors import MissingPackageError


@dataclass(frozen=True)
class Package:
    """Describe a package of OpenMMLab.

    Args:
        name: What is imported.
        title: What it calls itself.
        distributions: What pip calls it and its forks, the stock one first.
        least: The oldest version that works.
        needed_for: What of ours needs it.
        folder: Ours that extends it; none if there is no such folder.
        extended: Whether backbones of ours are built from it.
        pip_words: What pip is told to install it, around its name.
        lacks: The module that its release lacks and imports.
        issue: Where that was reported.
    """

    name: str
    title: str
    distributions: tuple[str, ...]
    least: str
    needed_for: str
    folder: str = ""
    extended: bool = False
    pip_words: str = "{}"
    lacks: str = ""
    issue: str = ""


MMENGINE = Package(
    "mmengine",
    "MMEngine",
    ("mmengine", "mmengine-lite", "onedl-mmengine"),
    "0.10.7",
    "every name in a config, and training",
)
MMCV = Package(
    "mmcv",
    "MMCV",
    ("mmcv", "mmcv-lite", "mmcv-full", "onedl-mmcv"),
    "2.1.0",
    "the layers of every plugin and backbone",
)
TOOLBOXES = (
    Package(
        "mmdet",
        "MMDetection",
        ("mmdet", "onedl-mmdetection"),
        "3.3.0",
        "detectors and keypoints",
        folder="keypoints",
        extended=True,
    ),
    Package(
        "mmseg",
        "MMSegmentation",
        ("mmsegmentation", "onedl-mmsegmentation"),
        "1.2.2",
        "segmentation",
        folder="segmentation",
        extended=True,
    ),
    Package(
        "mmaction",
        "MMAction2",
        ("mmaction2", "onedl-mmaction2"),
        "1.2.0",
        "video: nlse_mm.ResNet3d and nlse_mm.ResNet3dSlowOnly",
        extended=True,
        # It asks for opencv-contrib-python, which overwrites opencv-python's files.
        pip_words="--no-deps {} einops importlib_metadata zipp",
        lacks="models.localizers.drn.drn",
        issue="open-mmlab/mmaction2#2714",
    ),
    Package(
        "mmpretrain",
        "MMPretrain",
        ("mmpretrain", "onedl-mmpretrain"),
        "1.2.0",
        "classification",
        extended=True,
        pip_words="{} torchvision",  # which it imports, and doesn't ask for
    ),
)
PACKAGES = (MMENGINE, MMCV, *TOOLBOXES)


def distributions(package: Package) -> list[metadata.Distribution]:
    """Return the installed ones of a package, in the order of the table."""
    found = []
    for name in package.distributions:
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        # An uninstallation that was cut short leaves an empty folder.
        if installed.read_text("METADATA") or installed.read_text("PKG-INFO"):
            found.append(installed)
    return found


def name_and_version(package: Package) -> str | None:
    """Return what is installed, such as ``'mmcv-lite 2.1.0'``; None if nothing is."""
    installed = distributions(package)
    return _title(installed[0]) if installed else None


def find_package(name: str) -> Package | None:
    """Return the package of OpenMMLab that is imported under ``name``, if it is one."""
    return next((package for package in PACKAGES if package.name == name), None)


def too_old(package: Package) -> str | None:
    """Return what is wrong with the installed version; None if nothing is."""
    for found in distributions(package):
        if _numbers(found.version) < _numbers(package.least):
            return f"nlse_mm needs {package.title} {package.least} or newer"
    return None


def to_install(package: Package) -> str:
    """Return what pip calls it in the set, stock or OneDL's, that MMEngine is of."""
    forked = (name_and_version(MMENGINE) or "").startswith("onedl-")
    return package.distributions[-1 if forked else 0]


def how_to_install(name: str) -> str:
    """Return the end of a sentence with pip's command for a package; else nothing."""
    package = find_package(name)
    return f": {pip_install(package)}" if package else ""


def pip_install(package: Package) -> str:
    """Return pip's command for a package."""
    return f"pip install {package.pip_words.format(to_install(package))}"


def two_sets() -> str | None:
    """Return which packages overwrite each other and what to do; None if none do.

    Of two in different folders of ``sys.path`` the first is used, as it is.
    """
    clashes, remove = [], []
    keep = ""
    for package in PACKAGES:
        installed = distributions(package)
        folders = [str(found.locate_file("")) for found in installed]
        if len(set(folders)) < len(folders):
            clashes.append(" and ".join(map(_title, installed)))
            remove += [found.metadata["Name"] for found in installed]
            keep = keep or _title(installed[0]).replace(" ", "==")
    if not clashes:
        return None
    return (
        f"two distributions of one package overwrite each other's files: "
        f"{', '.join(clashes)}; run pip uninstall -y {' '.join(remove)}, then install "
        f"one of each again, such as {keep}"
    )


def check_one_set() -> None:
    """Raise MissingPackageError if two distributions hold one OpenMMLab package."""
    if why := two_sets():
        raise MissingPackageError(why)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _title(found: metadata.Distribution) -> str:
    return f"{found.metadata['Name']} {found.version}"
