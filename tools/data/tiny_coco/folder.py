"""A data set's folder that is whole or not there, and its annotation files."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

SPLITS = ("train2017", "val2017")
Checks = Iterable[tuple[bool, str]]  # whether something is wrong, and the sentence


def parse(
    doc: str,
    argv: list[str] | None,
    images: tuple[int, int],
    options: Callable[[Callable], None] = lambda add: None,
    checks: Callable[[argparse.Namespace], Checks] = lambda args: (),
) -> argparse.Namespace:
    """Read the command line of a script that makes a data set.

    Args:
        doc: The script's docstring.
        argv: The command line; None is the process's.
        images: The defaults of ``--train`` and ``--val``.
        options: Called with ``add_argument``, for what only this script has.
        checks: What can be wrong with these.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("target", type=Path, help="folder to make, new or empty")
    add("--train", type=int, default=images[0], help=f"images ({images[0]})")
    add("--val", type=int, default=images[1], help=f"images ({images[1]})")
    options(add)
    add("--seed", type=int, default=0, help="0 or more (0)")
    args = parser.parse_args(argv)
    for wrong, sentence in (
        (min(args.train, args.val) < 1, "--train and --val must be 1 or more"),
        *checks(args),
        (args.seed < 0, "--seed must be 0 or more"),
    ):
        if wrong:
            sys.exit(f"{_program(doc)}: {sentence}.")
    return args


def _program(doc: str) -> str:
    """The name of the script that the docstring's first example starts."""
    return Path(doc.split("tools/data/")[1].split()[0]).stem


def make_whole(
    doc: str,
    args: argparse.Namespace,
    version: str,
    write: Callable[[Path, dict], None],
) -> None:
    """Let ``write(folder, recipe)`` fill ``args.target``, which appears in one step.

    What a killed run leaves has another name and is thrown away by the next run. The
    recipe, which a file in the folder records, is the command line and the ``version``.
    """
    program, target = _program(doc), args.target
    recipe = {k: v for k, v in vars(args).items() if k != "target"}
    recipe["version"] = version
    record = f"{program.removeprefix('make_')}.json"
    whole = target.resolve()
    if _is_made(program, whole, record, recipe):
        print(f"{target} is complete: nothing to do.")
        return
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
    print(f"{target}: {args.train} + {args.val} images.")


def _is_made(program: str, target: Path, record: str, recipe: dict) -> bool:
    """Tell whether ``target`` holds this data set; exit if it holds something else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    other = "something else"
    if (target / record).is_file():
        made = json.loads((target / record).read_text())
        if made == recipe:
            return True
        other = f"a data set made with {made}, not with {recipe}"
    sys.exit(f"{program}: {target} holds {other}: delete it or name another folder.")


def write_splits(
    root: Path,
    recipe: dict,
    header: Callable[[str], dict],
    draw: Callable[[np.random.Generator, int, Path], tuple[np.ndarray, list[dict]]],
) -> None:
    """Write both splits under ``root``, with ids that go on from one to the other.

    Args:
        root: The folder to make.
        recipe: ``train``, ``val`` and ``seed``.
        header: The content of a split's annotation file without images.
        draw: Called with a random generator, the number of the image in its split and
            the image's path. Returns the image (H, W, 3) in BGR and its annotations,
            without ids.
    """
    (root / "annotations").mkdir(parents=True)
    image_id = 0
    for index, split in enumerate(SPLITS):
        (root / split).mkdir()
        content = header(split)
        images, annotations = content["images"], content["annotations"]
        count = recipe["val" if index else "train"]
        for number in track(range(count), description=split):
            image_id += 1
            path = root / split / f"{image_id:012d}.jpg"
            rng = np.random.default_rng([recipe["seed"], index, number])
            image, objects = draw(rng, number, path)
            _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            path.write_bytes(jpeg)
            height, width = image.shape[:2]
            size = dict(height=height, width=width)
            images.append(dict(id=image_id, file_name=path.name, **size, license=1))
            for one in objects:
                ids = dict(id=len(annotations) + 1, image_id=image_id)
                annotations.append(ids | one)
        file = root / "annotations" / f"instances_{split}.json"
        file.write_text(json.dumps(content))


def annotation_file(
    description: str, version: str, categories: dict[str, int], supercategory: str
) -> dict:
    """Make an annotation file without images; categories are name to id."""
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
