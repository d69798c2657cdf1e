"""Load checkpoint files in MMEngine's place, safely and with clear errors."""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from nlse_mm.errors import CheckpointError, MissingFileError

from .config_text import without_programs
from .safe_globals import has_safe_globals

_ZIP = b"PK\x03\x04"
# How files begin that PyTorch below 1.6 wrote: its magic number, pickled.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint file, with nothing in it executed, whatever the default is.

    Args:
        filename: The file, of ``torch.save`` or .safetensors; ``~`` is the home folder.
        map_location: As in ``torch.load``.

    Raises:
        MissingFileError: No file of that name.
        CheckpointError: Half-written, not a checkpoint, or one with a type in it that
            MMEngine's checkpoints don't hold.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise MissingFileError(f"the checkpoint {path} {what}")
    if path.suffix == ".safetensors":
        return _load_safetensors(path, map_location)
    is_zip = zipfile.is_zipfile(path)
    if not is_zip and _begins_with(path, _ZIP):
        raise CheckpointError(_half_written(path))
    if is_zip and not _is_checkpoint(path):
        raise CheckpointError(_foreign(path))
    try:
        checkpoint = _load_safely(path, map_location)
    except OSError:
        raise
    except Exception as error:
        sentence = _explain(path, is_zip, str(error))
        if sentence is None:
            raise
        raise CheckpointError(sentence) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{path} is not a checkpoint: it holds a {type(checkpoint).__name__}, not "
            "a dict of weights"
        )
    return without_programs(checkpoint, str(path))


def needs_package(package: str, command: str, error: ImportError) -> str:
    """Return the end of a sentence about a package that is missing, or broken."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and missing.split(".")[0] == package:
        return f"needs a package that is missing: {command}"
    reason = " ".join(str(error).split())
    return f"needs {package}, which can't be imported: {type(error).__name__}: {reason}"


def _load_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        needs = needs_package("safetensors", "pip install safetensors", error)
        raise CheckpointError(f"{path} {needs}") from error
    device = map_location if isinstance(map_location, (str, torch.device)) else "cpu"
    try:
        return load_file(path, str(device))
    except OSError:
        raise
    except Exception as error:  # SafetensorError, of no module that is documented
        raise CheckpointError(
            f"{path} is damaged or no .safetensors file ({error}); fetch it again"
        ) from error


def _load_safely(path: Path, map_location: Any) -> Any:
    if has_safe_globals():
        return torch.load(path, map_location=map_location, weights_only=True)
    from . import restricted_pickle

    return torch.load(
        path,
        map_location=map_location,
        pickle_module=restricted_pickle,
        weights_only=False,  # what restricts is the module
    )


def _explain(path: Path, is_zip: bool, message: str) -> str | None:
    """Return a sentence for ``torch.load``'s error; None if it isn't the file's."""
    refused = re.search(r"GLOBAL (\S+)", message)
    if refused:
        way_out = (
            " (whoever trusts the file can allow it with "
            "torch.serialization.add_safe_globals)"
        )
        return (
            f"refused to load {path}: it holds {refused[1]}, which MMEngine's "
            "checkpoints don't hold and which may run code when it is loaded"
            f"{way_out if has_safe_globals() else ''}"
        )
    if "deserialize object on" in message:  # of a device that isn't here
        return None
    if not is_zip and _begins_with(path, _LEGACY):
        return _half_written(path)
    if not is_zip:
        return _foreign(path)
    if re.search("PytorchStreamReader|inline_container", message):
        return f"{path} is damaged and can't be read; take another checkpoint"
    if "Weights only load failed" in message:
        return f"{path} can't be loaded safely: {_reason(message)}"
    return None


def _reason(message: str) -> str:
    found = re.search(r"WeightsUnpickler error: ([^\n]+)", message)
    return found[1].strip() if found else message.split("\n")[0]


def _is_checkpoint(path: Path) -> bool:
    """Return whether a zip file is ``torch.save``'s, not a TorchScript module."""
    with zipfile.ZipFile(path) as archive:
        parts = {name.rpartition("/")[2] for name in archive.namelist()}
    return "data.pkl" in parts and "constants.pkl" not in parts


def _foreign(path: Path) -> str:
    return f"{path} is not a checkpoint: torch.save did not write it"


def _half_written(path: Path) -> str:
    return (
        f"{path} is cut short ({path.stat().st_size} bytes): it was not written or "
        "downloaded to its end; delete it and take an older checkpoint, or fetch it "
        "again"
    )


def _begins_with(path: Path, magic: bytes) -> bool:
    """Return whether a file begins like ``magic``, or is a cut-off beginning of it."""
    with path.open("rb") as file:
        return magic.startswith(file.read(len(magic)))
