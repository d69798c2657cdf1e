"""Make a folder of data in one step: it is whole, or it isn't there."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlse_mm.errors import ConfigError


def make_whole(
    target: Path, name: str, recipe: dict[str, Any], write: Callable[[Path], None]
) -> bool:
    """Have ``write`` fill an empty folder, which then becomes ``target``.

    What a killed run leaves has another name and is thrown away by the next run.

    Args:
        target: The folder to make.
        name: Of the data set: ``{name}.json`` in the folder records ``recipe``.
        recipe: All that the content depends on.
        write: Called with the folder to fill.

    Returns:
        False if ``target`` holds the same already.

    Raises:
        ConfigError: If the folder holds something else, or can't be written.
    """
    if _is_made(target, name, recipe):
        print(f"{target} is complete: nothing to do.")
        return False
    whole = target.resolve()
    unfinished = whole.with_name(f".{whole.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        (unfinished / f"{name}.json").write_text(json.dumps(recipe) + "\n")
        os.replace(unfinished, whole)
    except OSError as error:
        raise ConfigError(f"{target} can't be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _is_made(target: Path, name: str, recipe: dict[str, Any]) -> bool:
    """Return whether ``target`` holds this data set; refuse anything else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    other, record = "something else", target / f"{name}.json"
    if record.is_file():
        made = json.loads(record.read_text())
        if made == recipe:
            return True
        other = f"a data set made with {made}, not with {recipe}"
    raise ConfigError(f"{target} holds {other}: delete it or name another folder")
