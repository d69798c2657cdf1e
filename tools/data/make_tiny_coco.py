#!/usr/bin/env python
"""Make a small data set in COCO's layout, the same bytes for the same seed.

    tools/data/make_tiny_coco.py data/tiny_coco
    tools/data/make_tiny_coco.py data/wide --train 200 --val 50 --size 192 320

Images of overlapping shapes on gradients, stripes, checks and clouds: objects with
polygons around the part of them that is seen, and some crowds with run lengths; and
semantic labels of the same pixels, semantic/{split}/*.png (0 is the background, then
the categories in their order). An image depends on the seed, its split and its number
only, so that a larger data set begins with the images of a smaller one.
"""

from pathlib import Path

import cv2
import numpy as np
from tiny_coco.annotation import annotate, semantic_labels
from tiny_coco.folder import annotation_file, make_whole, parse, write_splits
from tiny_coco.scene import random_scene, render
from tiny_coco.shapes import CATEGORIES

VERSION = "1.0"  # to raise when the same arguments give other bytes


def main(argv: list[str] | None = None) -> None:
    args = parse(__doc__, argv, (2500, 200), options, checks)
    make_whole(__doc__, args, VERSION, write)


def options(add) -> None:
    add("--size", type=int, nargs=2, default=[128, 160], metavar=("H", "W"))
    add("--objects", type=int, nargs=2, default=[1, 5], metavar=("MIN", "MAX"))
    add("--crowds", type=float, default=0.1, help="share of images with one (0.1)")


def checks(args):
    fewest, most = args.objects
    yield min(args.size) < 64, "--size must be 64 or more pixels each way"
    yield (not 1 <= fewest <= most, "--objects must be two numbers, 1 <= MIN <= MAX")
    yield not 0 <= args.crowds <= 1, "--crowds must be 0 to 1"


def write(root: Path, recipe: dict) -> None:
    """Write both splits under ``root``."""
    names = {shape.__name__: id_ for shape, id_ in CATEGORIES.items()}

    def header(split: str) -> dict:
        text = f"Tiny COCO, {split}: shapes drawn by make_tiny_coco.py"
        return annotation_file(text, VERSION, names, "shape")

    def draw(rng: np.random.Generator, number: int, path: Path):
        scene = random_scene(rng, recipe["size"], recipe["objects"], recipe["crowds"])
        image, seen = render(*scene)
        _, png = cv2.imencode(".png", semantic_labels(seen, image.shape[:2]))
        labels = root / "semantic" / path.parent.name / f"{path.stem}.png"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_bytes(png)
        return image, [
            dict(category_id=thing.category, **annotate(mask, thing.crowd))
            for thing, mask in seen
        ]

    write_splits(root, recipe, header, draw)


if __name__ == "__main__":
    main()
