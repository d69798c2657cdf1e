#!/usr/bin/env python
"""Make images in which an object's class can only be told by looking far away.

    tools/data/make_far_cue.py data/far_cue
    tools/data/make_far_cue.py data/far_cue_large --cue large

Grey squares near the right border, 128 x 256 pixels an image, COCO's layout. All the
squares of an image are of class red where the mark at the left border is red, of class
blue where it is blue; nothing else differs. The mark is a disc of 12 pixels radius, 1.4
percent of the image, or with --cue large a band of 48 pixels along the whole
border, 19 percent. At least 120 pixels lie between the mark and any square.

Every other image is red, so that guessing is right half of the time. A image
depends on the seed, its split and its number only.
"""

from pathlib import Path

import cv2
import numpy as np
from tiny_coco.folder import annotation_file, make_whole, parse, write_splits

VERSION = "1.1"  # to raise when the same arguments give other bytes
HEIGHT, WIDTH = 128, 256  # pixels, as all that follows
RADIUS = 12  # of the disc
BAND = 48  # width of the large mark
FIRST_SQUARE = 176  # no square begins farther left
SIDES = (18, 32)  # shortest and longest side of a square
# The same three numbers for both colours: equally bright, equally far from grey. BGR.
COLOURS = {"red": (60, 60, 200), "blue": (200, 60, 60)}
CUES = ("small", "large")
IMAGES = (1000, 100)  # for training, for validation


def main(argv: list[str] | None = None) -> None:
    def options(add) -> None:
        add("--cue", choices=CUES, default="small", help="a disc or a band (small)")

    args = parse(__doc__, argv, IMAGES, options)
    make_whole(__doc__, args, VERSION, write)


def write(root: Path, recipe: dict) -> None:
    """Write both splits under ``root``."""
    ids = {colour: place for place, colour in enumerate(COLOURS, start=1)}

    def header(split: str) -> dict:
        text = f"Far cue, {split}: drawn by make_far_cue.py"
        return annotation_file(text, VERSION, ids, "square")

    def draw_one(rng: np.random.Generator, number: int, path: Path):
        colour = list(COLOURS)[number % 2]
        image, boxes = draw(rng, colour, recipe["cue"])
        return image, [annotation(box, ids[colour]) for box in boxes]

    write_splits(root, recipe, header, draw_one)


def annotation(box: tuple[int, int, int, int], category: int) -> dict:
    """Write what COCO says about a box x, y, width, height that is filled."""
    x, y, w, h = box
    ring = [x, y, x + w, y, x + w, y + h, x, y + h]
    return dict(
        category_id=category, bbox=list(box), area=w * h, segmentation=[ring], iscrowd=0
    )


def draw(
    rng: np.random.Generator, colour: str, cue: str
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """A image (H, W, 3) of bytes, BGR, and its squares as x, y, width, height.

    The same ``rng`` draws the same image for either colour, but for the mark.
    """
    image, grey = background(rng)
    boxes = place_squares(rng)
    for x, y, w, h in boxes:
        contrast = rng.choice([-1, 1]) * rng.uniform(45, 80)
        image[y : y + h, x : x + w] = grey + contrast
    noise = 4 * rng.standard_normal(image.shape)
    mark = cover(rng, cue)
    image[mark] = COLOURS[colour]
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8), boxes


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
