"""Write drawn images and their annotations in COCO's layout, all of them or nothing."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from rich.progress import track
from whole_folder import make_whole

SPLITS = ("train2017", "val2017")
INFO = dict(year=2017, contributor="nlse_mm", date_created="2017/01/01")
LICENCE = dict(id=1, name="Apache License 2.0", url="")


class Drawn(NamedTuple):
    """An image (H, W, 3) in BGR, its annotations without ids, its semantic labels."""

    image: np.ndarray
    annotations: list[dict[str, Any]]
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class DataSet:
    """What is drawn, and how its files are called and numbered."""

    name: str  # {name}.json in the folder records the arguments and the version
    version: str  # to raise when the same arguments give other bytes
    categories: list[dict[str, Any]]
    # Called with a random generator and the number of the image in its split.
    draw: Callable[[np.random.Generator, int], Drawn]
    about: str = ""  # {} is the split; without it there is neither info nor licence
    kind: str = "instances"  # of annotations/{kind}_{split}.json
    ids_go_on: bool = True  # those of val2017's images after those of train2017's

    def make(self, args: argparse.Namespace) -> None:
        """Write both splits into ``args.target``, which appears in one step.

        Raises:
            ConfigError: If the folder holds something else, or can't be written.
        """
        recipe = vars(args) | dict(version=self.version)
        target: Path = recipe.pop("target")

        def write(root: Path) -> None:
            (root / "annotations").mkdir()
            for index, count in enumerate((args.train, args.val)):
                first_id = 1 + args.train if index and self.ids_go_on else 1
                self._write_split(root, args.seed, index, range(count), first_id)

        if make_whole(target, self.name, recipe, write):
            print(f"{target}: {args.train} + {args.val} images.")

    def _write_split(
        self, root: Path, seed: int, index: int, numbers: range, first_id: int
    ) -> None:
        split, images, annotations = SPLITS[index], [], []
        for number in track(numbers, description=split):
            # An image depends on the seed, its split and its number only.
            drawn = self.draw(np.random.default_rng([seed, index, number]), number)
            id_ = first_id + number
            name = f"{id_:012d}"
            write_image(root / split / f"{name}.jpg", drawn.image)
            if drawn.labels is not None:
                write_image(root / "semantic" / split / f"{name}.png", drawn.labels)
            height, width = drawn.image.shape[:2]
            entry = dict(id=id_, file_name=f"{name}.jpg", height=height, width=width)
            images.append(entry | (dict(license=1) if self.about else {}))
            for annotation in drawn.annotations:
                ids = dict(id=len(annotations) + 1, image_id=id_)
                annotations.append(ids | annotation)
        content: dict[str, Any] = {}
        if self.about:
            about = dict(description=self.about.format(split), url="")
            content["info"] = about | dict(version=self.version) | INFO
            content["licenses"] = [LICENCE]
        content |= dict(images=images, annotations=annotations)
        content["categories"] = self.categories
        file = root / "annotations" / f"{self.kind}_{split}.json"
        file.write_text(json.dumps(content))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image; OSError if the disk is full, which ``cv2.imwrite`` hides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1])
