"""Load weights by name or URL, safely, without torchvision, with clear errors.

MMEngine downloads with ``torch.hub``, which executes whatever a file holds, and gets
the names behind ``torchvision://`` by importing torchvision, though it ships a table of
them. Its tables, its download folder and its names stay as they are.
"""

import difflib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mmengine
import torch
from mmengine.dist import get_dist_info
from mmengine.runner import checkpoint as stock

from nlse_mm.errors import CheckpointError

from .local_loader import load_from_local

_SECONDS = 60  # without an answer for so long, the network counts as missing
BACKBONE_KEY = "model.backbone.init_cfg.checkpoint"


def load_from_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Download a checkpoint once into PyTorch's hub folder, and load it.

    Raises:
        CheckpointError: No network (the sentence names the file to fetch, where to put
            it and the key that takes its path), or as ``load_from_local``.
    """
    return fetch_and_load(filename, map_location, f"load_from or {BACKBONE_KEY}")


def load_from_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load ``torchvision://resnet50`` by MMEngine's own table; errors as over http.

    A name that the table lacks, such as ``resnet50.imagenet1k_v2``, needs torchvision.
    """
    table = mmengine.load(Path(mmengine.__file__).parent / "hub/torchvision_0.12.json")
    if _name(filename) not in table:
        table |= _torchvision_urls(filename, table)
    return fetch_and_load(look_up(filename, table), map_location, BACKBONE_KEY)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load ``open-mmlab://``, by the user's own table too; errors as over http."""
    table = stock.get_external_models()
    new_names = stock.get_deprecated_model_names()
    table |= {old: table[new] for old, new in new_names.items() if new in table}
    url = look_up(filename, table)
    if not url.startswith(("http://", "https://")):
        return load_from_local(os.path.join(stock._get_mmengine_home(), url))
    return fetch_and_load(url, map_location, BACKBONE_KEY)


def load_from_mmcls(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load ``mmcls://`` weights less their ``backbone.``; errors as over http."""
    url = look_up(filename, stock.get_mmcls_models())
    key = f"{BACKBONE_KEY}, with prefix='backbone.' beside it"
    return stock._process_mmcls_checkpoint(fetch_and_load(url, map_location, key))


def whole(filename: str) -> str:
    """Return where the file behind a name is, for a model that takes all of it.

    Behind ``mmcls://`` MMEngine keeps the backbone and drops the classifier. Any other
    name is returned as it is.
    """
    is_mmcls = filename.startswith("mmcls://")
    return look_up(filename, stock.get_mmcls_models()) if is_mmcls else filename


def _name(filename: str) -> str:
    return filename.split("://", 1)[1]


def look_up(filename: str, table: dict[str, str]) -> str:
    """Return the URL behind a name; CheckpointError, with what is near, if none."""
    name = _name(filename)
    if name not in table:
        near = _near(filename, table)
        raise CheckpointError(
            f"{filename} is no name of published weights; near it are {near}"
        )
    return table[name]


def _near(filename: str, table: dict[str, str]) -> str:
    near = difflib.get_close_matches(_name(filename), table) or sorted(table)[:5]
    return ", ".join(near)


def _torchvision_urls(filename: str, table: dict[str, str]) -> dict[str, str]:
    try:
        return stock.get_torchvision_models()
    except (ImportError, RuntimeError) as error:  # RuntimeError: beside another PyTorch
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{filename} is not in MMEngine's table, where near it are "
            f"{_near(filename, table)}; torchvision, which has more names, can't be "
            f"imported: {type(error).__name__}: {reason}"
        ) from error


def fetch_and_load(url: str, map_location: Any, key: str) -> dict[str, Any]:
    """Download on rank 0, then load on all; ``key`` takes a path in a config."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / os.path.basename(urlparse(url).path)
    rank, world_size = get_dist_info()
    if rank == 0:
        _download(url, path, key)
    if world_size > 1:
        torch.distributed.barrier()
        _download(url, path, key)  # rank 0 of another machine has another folder
    return load_from_local(str(path), map_location)


def _download(url: str, path: Path, key: str) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _network_timeout():
            torch.hub.download_url_to_file(url, str(path), progress=os.isatty(0))
    except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        raise CheckpointError(
            f"could not download {url} ({error}); fetch that file where there is a "
            f"network and put it at {path}, or give its path in {key}"
        ) from error


@contextmanager
def _network_timeout() -> Iterator[None]:
    # torch.hub has no timeout of its own, and hangs for minutes behind a firewall.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
