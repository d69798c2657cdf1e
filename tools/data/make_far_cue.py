#!/usr/bin/env python
"""Make pictures in which an object's class can only be told by looking far away.

    tools/data/make_far_cue.py data/far_cue
    tools/data/make_far_cue.py data/far_cue_large --cue large

Grey squares near the right border, 128 x 256 pixels a picture, COCO's layout. All the
squares of a picture are of class red where the mark at the left border is red, of class
blue where it is blue; nothing else differs. The mark is a disc of 12 pixels radius, 1.4
percent of the picture, or with --cue large a band of 48 pixels along the whole
border, 19 percent. At least 120 pixels lie between the mark and any square.

Every other picture is red, so that guessing is right half of the time. A picture
depends on the seed, its split and its number only.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from tiny_coco.folder import SPLITS, annotation_file, make_whole

VERSION = "1.1"  # to raise when the same arguments give other bytes
HEIGHT, WIDTH = 128, 256  # pixels, as all that follows
RADIUS = 12  # of the disc
BAND = 48  # width of the large mark
FIRST_SQUARE = 176  # no square begins farther left
SIDES = (18, 32)  # shortest and longest side of a square
# The same three numbers for both colours: equally bright, equally far from grey. BGR.
COLOURS = {"red": (60, 60, 200), "blue": (200, 60, 60)}
CUES = ("small", "large")


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    recipe = {k: v for k, v in vars(args).items() if k != "target"}
    recipe["version"] = VERSION
    if make_whole("make_far_cue", args.target, recipe, write):
        print(f"{args.target}: {args.train} + {args.val} images.")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("target", type=Path, help="folder to make, new or empty")
    add("--train", type=int, default=1000, help="training images (1000)")
    add("--val", type=int, default=100, help="validation images (100)")
    add("--cue", choices=CUES, default="small", help="a disc or a band (small)")
    add("--seed", type=int, default=0, help="0 or more (0)")
    args = parser.parse_args(argv)
    if min(args.train, args.val) < 1:
        sys.exit("make_far_cue: --train and --val must be 1 or more.")
    if args.seed < 0:
        sys.exit("make_far_cue: --seed must be 0 or more.")
    return args


def write(root: Path, recipe: dict) -> None:
    """Write both splits under ``root``."""
    (root / "annotations").mkdir(parents=True)
    ids = {colour: place for place, colour in enumerate(COLOURS, start=1)}
    image_id = 0
    for index, split in enumerate(SPLITS):
        (root / split).mkdir()
        content = annotation_file(
            f"Far cue, {split}: drawn by make_far_cue.py", VERSION, ids, "square"
        )
        count = recipe["val" if index else "train"]
        for number in track(range(count), description=split):
            image_id += 1
            colour = list(COLOURS)[number % 2]
            rng = np.random.default_rng([recipe["seed"], index, number])
            picture, boxes = draw(rng, colour, recipe["cue"])
            name = f"{image_id:012d}.jpg"
            _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
            (root / split / name).write_bytes(jpeg)
            content["images"].append(
                dict(id=image_id, file_name=name, height=HEIGHT, width=WIDTH, license=1)
            )
            content["annotations"] += [
                annotation(box, image_id, ids[colour], len(content["annotations"]) + k)
                for k, box in enumerate(boxes, start=1)
            ]
        path = root / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content))


def annotation(
    box: tuple[int, int, int, int], image_id: int, category: int, id_: int
) -> dict:
    """What COCO writes about a box x, y, width, height that is filled."""
    x, y, w, h = box
    ring = [x, y, x + w, y, x + w, y + h, x, y + h]
    return dict(
        id=id_,
        image_id=image_id,
        category_id=category,
        bbox=list(box),
        area=w * h,
        segmentation=[ring],
        iscrowd=0,
    )


def draw(
    rng: np.random.Generator, colour: str, cue: str
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """A picture (H, W, 3) of bytes, BGR, and its squares as x, y, width, height.

    The same ``rng`` draws the same picture for either colour, but for the mark.
    """
    picture, grey = background(rng)
    boxes = place_squares(rng)
    for x, y, w, h in boxes:
        contrast = rng.choice([-1, 1]) * rng.uniform(45, 80)
        picture[y : y + h, x : x + w] = grey + contrast
    noise = 4 * rng.standard_normal(picture.shape)
    mark = cover(rng, cue)
    picture[mark] = COLOURS[colour]
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8), boxes


def background(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Grey clouds (H, W, 3), and their mean."""
    grey = rng.uniform(100, 155)
    coarse = rng.uniform(-25, 25, (4, 8))
    clouds = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.repeat((grey + clouds)[..., None], 3, axis=2), grey


def place_squares(rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """One to three squares that neither overlap nor touch: x, y, width, height."""
    boxes = []
    wanted = rng.integers(1, 4)
    while len(boxes) < wanted:
        side = int(rng.integers(*SIDES, endpoint=True))
        x = int(rng.integers(FIRST_SQUARE, WIDTH - side))
        y = int(rng.integers(1, HEIGHT - side))
        apart = [
            x + side + 3 <= u or u + w + 3 <= x or y + side + 3 <= v or v + w + 3 <= y
            for u, v, w, _ in boxes
        ]
        if all(apart):
            boxes.append((x, y, side, side))
    return boxes


def cover(rng: np.random.Generator, cue: str) -> np.ndarray:
    """The pixels of the mark, (H, W) booleans."""
    y, x = np.indices((HEIGHT, WIDTH))
    if cue == "large":
        return x < BAND
    left = rng.uniform(RADIUS + 1, RADIUS + 6)
    top = rng.uniform(RADIUS + 1, HEIGHT - RADIUS - 1)
    return (x - left) ** 2 + (y - top) ** 2 <= RADIUS**2


if __name__ == "__main__":
    main()
