"""Write files by MMEngine's local backend, so that they are whole or not there."""

import contextlib
import os
from pathlib import Path

from mmengine.fileio import LocalBackend

BACKEND = "nlse_mm.AtomicBackend"
TEMPORARY = ".half-written"


class AtomicBackend(LocalBackend):
    """Write under a temporary name, and remove nothing before ``remove_outdated``.

    A file is written beside its place, brought to the disk and renamed, so whoever
    reads the name finds the old content or the new one, even after a power failure.
    ``remove`` only notes a file; ``remove_outdated`` deletes what was noted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outdated: dict[str, int] = {}

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; ``filepath`` appears once they are on the disk."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + TEMPORARY)
        try:
            with temporary.open("wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)  # the new name is on the disk, too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text as ``put`` writes bytes."""
        self.put(obj.encode(encoding), filepath)

    def remove(self, filepath: str | Path) -> None:
        """Note a file for ``remove_outdated``."""
        self._outdated[str(filepath)] = os.stat(filepath).st_ino

    def remove_outdated(self) -> None:
        """Delete the noted files, except those that were replaced since."""
        for path, inode in self._outdated.items():
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == inode:
                    os.remove(path)
        self._outdated.clear()
