"""Load ``timm://NAME``, timm's published weights, without timm.

Most are on the Hugging Face hub, in ``timm/NAME``. The SENet authors' own, which timm
calls legacy, are on GitHub, at the addresses in timm 1.0.31's table.
"""

import re
from pathlib import Path
from typing import Any

import torch

from nlse_mm.errors import CheckpointError

from .local_loader import load_from_local, needs_package
from .schemes import BACKBONE_KEY, fetch_and_load, look_up

_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/"
_LEGACY = {
    f"legacy_{name}.in1k": _RELEASES + file
    for name, file in {
        "seresnet50": "v0.1-cadene/se_resnet50-ce0d4300.pth",
        "seresnet101": "v0.1-cadene/se_resnet101-7e38fcc6.pth",
        "seresnet152": "v0.1-cadene/se_resnet152-d17c99b7.pth",
        "seresnext50_32x4d": "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad.pth",
        "seresnext101_32x4d": "v0.1-weights/legacy_se_resnext101_32x4d-37725eac.pth",
        "senet154": "v0.1-weights/legacy_senet154-e9eb9fe6.pth",
    }.items()
}
_PACKAGES = "pip install huggingface_hub safetensors"


def load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Fetch weights once, and load them under timm's own key names.

    Raises:
        CheckpointError: A name without a tag; or no network, no such name, or a package
            is missing; the sentence names the file to fetch, where to put it and the
            key that takes its path.
    """
    name = filename.removeprefix("timm://")
    if name.startswith("legacy_"):
        url = look_up(filename, _LEGACY)
        return fetch_and_load(url, map_location, BACKBONE_KEY)
    if re.match(r"(se)?resnex?taa", name):
        raise CheckpointError(
            f"{filename} blurs before each stride, which no backbone here does"
        )
    by_hand = Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.safetensors"
    path = by_hand if by_hand.is_file() else _fetch(filename, by_hand)
    return load_from_local(str(path), map_location)


def _fetch(filename: str, by_hand: Path) -> str:
    """Return the path of the downloaded file, in the hub's own cache."""
    if "." not in filename:
        raise CheckpointError(
            f"{filename} lacks the tag of a training, which follows a dot, as in "
            "timm://seresnet50.a1_in1k"
        )
    repository = filename.replace("timm://", "timm/")
    url = f"https://huggingface.co/{repository}/resolve/main/model.safetensors"
    advice = (
        f"fetch {url} where there is a network and put it at {by_hand}, or give its "
        f"path in {BACKBONE_KEY}"
    )
    try:
        import huggingface_hub
    except ImportError as error:
        needs = needs_package("huggingface_hub", _PACKAGES, error)
        raise CheckpointError(f"{filename} {needs}; or {advice}") from error
    try:
        return huggingface_hub.hf_hub_download(repository, "model.safetensors")
    # A missing network is another exception in each version (of requests, httpx, ...).
    except Exception as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise CheckpointError(
            f"could not download {filename} ({reason}); {advice}"
        ) from error
