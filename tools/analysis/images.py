"""The images, or videos, of a data set: their classes, and how an image is read."""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from nlse_mm.errors import ConfigError

DATA_HELP = (
    "a folder of images, or of one folder for each class, or COCO's "
    "annotations/instances_*.json; for recognizers a folder of videos, or of folders"
)
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
VIDEOS = {".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv"}


@dataclass(frozen=True)
class Image:
    """An image's file, or a video's, and the names of the classes that it shows."""

    path: Path
    classes: frozenset[str] = frozenset()


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the data set, and ``--number``."""
    parser.add_argument("data", type=Path, help=DATA_HELP)
    parser.add_argument("--number", type=int, help="images, evenly spread (all)")


def find_images(args: argparse.Namespace) -> list[Image]:
    """List the images of ``args.data``, or ``args.number`` of them, evenly spread.

    Raises:
        ConfigError: If there is no image.
    """
    data, number = args.data, args.number
    if number is not None and number < 1:
        raise ConfigError(f"--number {number} is not 1 or more")
    if not data.exists():
        raise ConfigError(f"the data {data} does not exist")
    if data.is_dir():
        images = _in_folder(data, _IMAGES) or _in_folder(data, VIDEOS)
    else:
        images = _in_coco(data)
    if not images:
        raise ConfigError(f"{data} has no image; it should be {DATA_HELP}")
    number = min(number or len(images), len(images))
    return [images[i * len(images) // number] for i in range(number)]


def read_image(path: Path) -> np.ndarray:
    """Read an image (H, W, 3) in RGB.

    Raises:
        ConfigError: If it can't be read.
    """
    if not path.is_file():
        raise ConfigError(f"the image {path} does not exist")
    image = cv2.imread(str(path))  # BGR
    if image is None:
        raise ConfigError(f"the image {path} can't be read")
    return image[..., ::-1].copy()


def by_frequency(images: list[Image]) -> list[str]:
    """List the classes, first the one that most of the images show."""
    counts = Counter(c for image in images for c in sorted(image.classes))
    return [c for c, _ in counts.most_common()]


def _in_folder(data: Path, suffixes: set[str]) -> list[Image]:
    here = [Image(path) for path in _files(data, suffixes)]
    return here or [
        Image(path, frozenset({folder.name}))
        for folder in sorted(path for path in data.iterdir() if path.is_dir())
        for path in _files(folder, suffixes)
    ]


def _files(folder: Path, suffixes: set[str]) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes)


def _in_coco(file: Path) -> list[Image]:
    """List those of ``annotations/instances_NAME.json``, which are in ``../NAME``."""
    try:
        content = json.loads(file.read_bytes())
        names = {c["id"]: c["name"] for c in content["categories"]}
        shown: dict[int, set[str]] = {image["id"]: set() for image in content["images"]}
        for annotation in content["annotations"]:
            shown[annotation["image_id"]].add(names[annotation["category_id"]])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is not a COCO instances file") from error
    folder = file.parent.parent / file.stem.partition("_")[2]
    images = [
        Image(folder / image["file_name"], frozenset(shown[image["id"]]))
        for image in content["images"]
    ]
    if images and not images[0].path.is_file():
        raise ConfigError(f"{file} names {images[0].path}, which does not exist")
    return images
