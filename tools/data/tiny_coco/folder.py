"""A data set's folder that is whole or not there, and its annotation files."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

SPLITS = ("train2017", "val2017")


def make_whole(
    program: str, target: Path, recipe: dict, write: Callable[[Path, dict], None]
) -> bool:
    """Let ``write(folder, recipe)`` fill ``target``, which appears in one step.

    What a killed run leaves has another name and is thrown away by the next run.

    Args:
        program: Who speaks, ``make_...``; the record of a finished data set is the
            file ``....json``.
        target: The folder to make, new or empty.
        recipe: What the data set is made from; the record holds it.
        write: Called with an unfinished folder that doesn't exist yet.

    Returns:
        False if ``target`` already was this very data set.
    """
    record = f"{program.removeprefix('make_')}.json"
    if _is_made(program, target.resolve(), record, recipe):
        print(f"{target} is complete: nothing to do.")
        return False
    whole = target.resolve()
    unfinished = whole.with_name(f".{whole.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        write(unfinished, recipe)
        (unfinished / record).write_text(json.dumps(recipe) + "\n")
        os.replace(unfinished, whole)
    except OSError as error:
        sys.exit(f"{program}: {target} can't be written: {error}.")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _is_made(program: str, target: Path, record: str, recipe: dict) -> bool:
    """Whether ``target`` holds this very data set; exits if it holds something else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    if (target / record).is_file():
        made = json.loads((target / record).read_text())
        if made == recipe:
            return True
        other = f"a data set made with {made}, not with {recipe}"
    else:
        other = "something else"
    sys.exit(f"{program}: {target} holds {other}: delete it or name another folder.")


def annotation_file(
    description: str, version: str, categories: dict[str, int], supercategory: str
) -> dict:
    """The content of an annotation file without images; categories are name to id."""
    return dict(
        info=dict(
            description=description,
            url="",
            version=version,
            year=2017,
            contributor="nlse_mm",
            date_created="2017/01/01",
        ),
        licenses=[dict(id=1, name="Apache License 2.0", url="")],
        images=[],
        annotations=[],
        categories=[
            dict(id=id_, name=name, supercategory=supercategory)
            for name, id_ in categories.items()
        ],
    )
