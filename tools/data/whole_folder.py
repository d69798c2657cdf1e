"""Write a data set's folder as a whole: all of its files or none."""

import argparse
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlse_mm.errors import ConfigError


def make_whole(
    args: argparse.Namespace,
    name: str,
    version: str,
    write: Callable[[Path], None],
    what: str = "images",
) -> None:
    """Let ``write`` fill a folder, which appears as ``args.target`` in one step.

    What a killed run leaves has another name and is thrown away by the next run.

    Args:
        args: Of the command line: ``target``, and what the data depends on.
        name: ``{name}.json`` in the folder records the arguments and the version.
        version: To raise when the same arguments give other bytes.
        write: Called with the folder, which is empty.
        what: Of which ``args.train`` and ``args.val`` are written.

    Raises:
        ConfigError: If the folder holds something else, or can't be written.
    """
    target: Path = args.target
    recipe = vars(args) | dict(version=version)
    del recipe["target"]
    if _is_made(target, name, recipe):
        print(f"{target} is complete: nothing to do.")
        return
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
    print(f"{target}: {args.train} + {args.val} {what}.")


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
