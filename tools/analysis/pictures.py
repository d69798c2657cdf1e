"""The pictures of a data set, and which classes each one shows."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from nlse_mm.engine.user_error import UserError

DATA_HELP = (
    "a folder of pictures, or of one folder for each class, or COCO's "
    "annotations/instances_*.json"
)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Picture:
    """A picture's file, and the names of the classes that it shows."""

    path: Path
    classes: frozenset[str] = frozenset()


def find_pictures(data: Path, number: int | None) -> list[Picture]:
    """The pictures of ``data``, or ``number`` of them, evenly spread.

    Raises:
        UserError: If there is no picture.
    """
    if number is not None and number < 1:
        raise UserError(f"--number {number} is not 1 or more")
    if not data.exists():
        raise UserError(f"the data {data} does not exist")
    pictures = _in_folder(data) if data.is_dir() else _in_coco(data)
    if not pictures:
        raise UserError(f"{data} has no picture; it should be {DATA_HELP}")
    if number is None or number >= len(pictures):
        return pictures
    return [pictures[i * len(pictures) // number] for i in range(number)]


def by_frequency(pictures: list[Picture]) -> list[str]:
    """The classes, first the one that most of the pictures show."""
    counts = Counter(c for picture in pictures for c in sorted(picture.classes))
    return [c for c, _ in counts.most_common()]


def _in_folder(data: Path) -> list[Picture]:
    here = [Picture(path) for path in _files(data)]
    folders = sorted(path for path in data.iterdir() if path.is_dir())
    return here or [
        Picture(path, frozenset({folder.name}))
        for folder in folders
        for path in _files(folder)
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)


def _in_coco(file: Path) -> list[Picture]:
    """Of ``annotations/instances_NAME.json``, whose pictures are in ``../NAME``."""
    try:
        content = json.loads(file.read_bytes())
        names = {c["id"]: c["name"] for c in content["categories"]}
        shown: dict[int, set[str]] = {image["id"]: set() for image in content["images"]}
        for annotation in content["annotations"]:
            shown[annotation["image_id"]].add(names[annotation["category_id"]])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a COCO instances file") from error
    folder = file.parent.parent / file.stem.partition("_")[2]
    pictures = [
        Picture(folder / image["file_name"], frozenset(shown[image["id"]]))
        for image in content["images"]
    ]
    for picture in pictures[:1]:
        if not picture.path.is_file():
            raise UserError(f"{file} names {picture.path}, which does not exist")
    return pictures
