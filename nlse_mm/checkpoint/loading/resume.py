"""Find the checkpoint of a work folder to go on from: the newest that is whole."""

import logging
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import print_log

from .local_loader import load_from_local

_NAME = re.compile(r"(epoch|iter)_(\d+)\.pth")


class _Candidate(NamedTuple):
    unit: str  # epoch or iter
    progress: int
    path: Path


def is_complete(path: str | Path) -> bool:
    """Return whether a checkpoint was written to its end and reads back as written.

    A checkpoint is a zip file, whose list of contents is written last; the checksum of
    each part is compared, which reads the file once and keeps none of it. Files of
    PyTorch below 1.6, and those written with ``set_crc32_options(False)``, count as
    incomplete: they carry no checksums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            is_checkpoint = any(n.endswith("/data.pkl") for n in archive.namelist())
            return is_checkpoint and archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


def latest_complete(work_dir: str | Path) -> str | None:
    """Return the newest complete ``epoch_*.pth`` or ``iter_*.pth`` to resume from.

    Newest is furthest in training, by the number in the name. A checkpoint that is
    further than the one named in ``last_checkpoint`` counts only if it was written
    after that note (the training was killed between the two); an older one is left
    over from another training in the same folder. Incomplete ones are skipped, with a
    warning each.

    Args:
        work_dir: Folder of the training. Checkpoints beside the one that
            ``last_checkpoint`` names (``CheckpointHook(out_dir=...)``) are found too;
            one on a remote store (``s3://``) is returned unchecked.

    Returns:
        Its path, or None if there is none.
    """
    note = Path(work_dir) / "last_checkpoint"
    named = note.read_text().strip() if note.is_file() else ""
    if "://" in named:
        return named
    candidates = _candidates({Path(work_dir), Path(named or note).parent})
    newest = []
    for unit in ("epoch", "iter"):
        of_unit = [c for c in candidates if c.unit == unit]
        complete = _first_complete(_of_this_training(of_unit, named, note))
        newest += [complete] if complete else []
    if len(newest) > 1:  # saved by epoch and by iteration: compare what the files hold
        newest.sort(key=lambda c: load_from_local(str(c.path), "cpu")["meta"]["iter"])
    return str(newest[-1].path) if newest else None


def _candidates(folders: set[Path]) -> list[_Candidate]:
    """Return the checkpoints in these folders, furthest first."""
    found = {
        _Candidate(name[1], int(name[2]), path)
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if (name := _NAME.fullmatch(path.name))
    }
    return sorted(found, key=lambda c: (c.progress, str(c.path)), reverse=True)


def _of_this_training(
    candidates: list[_Candidate], named: str, note: Path
) -> list[_Candidate]:
    name = _NAME.fullmatch(Path(named).name)
    if not name:
        return candidates
    return [
        c
        for c in candidates
        if c.unit != name[1]
        or c.progress <= int(name[2])
        or c.path.stat().st_mtime_ns >= note.stat().st_mtime_ns
    ]


def _first_complete(candidates: list[_Candidate]) -> _Candidate | None:
    for candidate in candidates:
        if is_complete(candidate.path):
            return candidate
        print_log(
            f"{candidate.path} is half-written or damaged; skipped for the resume",
            logger="current",
            level=logging.WARNING,
        )
    return None
