#!/usr/bin/env python
"""Make a small data set in COCO's layout, the same bytes for the same seed.

    tools/data/make_tiny_coco.py data/tiny_coco
    tools/data/make_tiny_coco.py data/wide --train 200 --val 50 --size 192 320

Pictures of overlapping shapes on gradients, stripes, checks and clouds: objects with
polygons around the part of them that is seen, and some crowds with run lengths; and
semantic labels of the same pixels, semantic/{split}/*.png (0 is the background, then
the categories in their order). An image depends on the seed, its split and its number
only, so that a larger data set begins with the images of a smaller one.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from tiny_coco.annotation import annotate, semantic_labels
from tiny_coco.folder import SPLITS, annotation_file, make_whole
from tiny_coco.scene import random_scene, render
from tiny_coco.shapes import CATEGORIES

VERSION = "1.0"  # to raise when the same arguments give other bytes


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    recipe = {k: v for k, v in vars(args).items() if k != "target"}
    recipe["version"] = VERSION
    if make_whole("make_tiny_coco", args.target, recipe, write):
        print(f"{args.target}: {args.train} + {args.val} images.")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("target", type=Path, help="folder to make, new or empty")
    add("--train", type=int, default=2500, help="training images (2500)")
    add("--val", type=int, default=200, help="validation images (200)")
    add("--size", type=int, nargs=2, default=[128, 160], metavar=("H", "W"))
    add("--objects", type=int, nargs=2, default=[1, 5], metavar=("MIN", "MAX"))
    add("--crowds", type=float, default=0.1, help="share of images with one (0.1)")
    add("--seed", type=int, default=0, help="0 or more (0)")
    args = parser.parse_args(argv)
    fewest, most = args.objects
    for wrong, sentence in (
        (min(args.train, args.val) < 1, "--train and --val must be 1 or more"),
        (min(args.size) < 64, "--size must be 64 or more pixels each way"),
        (not 1 <= fewest <= most, "--objects must be two numbers, 1 <= MIN <= MAX"),
        (not 0 <= args.crowds <= 1, "--crowds must be 0 to 1"),
        (args.seed < 0, "--seed must be 0 or more"),
    ):
        if wrong:
            sys.exit(f"make_tiny_coco: {sentence}.")
    return args


def write(root: Path, recipe: dict) -> None:
    """Write both splits under ``root``."""
    (root / "annotations").mkdir(parents=True)
    first_id = 1
    for index, (split, count) in enumerate(
        zip(SPLITS, (recipe["train"], recipe["val"]), strict=True)
    ):
        (root / split).mkdir()
        (root / "semantic" / split).mkdir(parents=True)
        seeds = [[recipe["seed"], index, number] for number in range(count)]
        content = annotation_file(
            f"Tiny COCO, {split}: shapes drawn by make_tiny_coco.py",
            VERSION,
            {shape.__name__: id_ for shape, id_ in CATEGORIES.items()},
            "shape",
        )
        for number, seed in enumerate(track(seeds, description=split)):
            add_image(content, root, split, first_id + number, seed, recipe)
        first_id += count
        (root / "annotations" / f"instances_{split}.json").write_text(
            json.dumps(content)
        )


def add_image(
    content: dict,
    root: Path,
    split: str,
    image_id: int,
    seed: list[int],
    recipe: dict,
) -> None:
    """Draw one image, write it and its labels, and add its records to ``content``."""
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, recipe["size"], recipe["objects"], recipe["crowds"])
    picture, seen = render(*scene)
    height, width = picture.shape[:2]
    name = f"{image_id:012d}.jpg"
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    (root / split / name).write_bytes(jpeg)
    labels = semantic_labels(seen, (height, width))
    _, png = cv2.imencode(".png", labels)
    (root / "semantic" / split / name).with_suffix(".png").write_bytes(png)
    content["images"].append(
        dict(id=image_id, file_name=name, height=height, width=width, license=1)
    )
    for thing, mask in seen:
        content["annotations"].append(
            dict(
                id=len(content["annotations"]) + 1,
                image_id=image_id,
                category_id=thing.category,
                **annotate(mask, thing.crowd),
            )
        )


if __name__ == "__main__":
    main()
