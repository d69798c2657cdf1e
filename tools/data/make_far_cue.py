#!/usr/bin/env python
"""Make images in which an object's class can only be told by looking far away.

    tools/data/make_far_cue.py data/far_cue
    tools/data/make_far_cue.py data/far_cue_large --cue large

Grey squares near the right border, 128 x 256 pixels an image, COCO's layout. All the
squares of an image are of class red where the mark at the left border is red, of class
blue where it is blue; nothing else differs. The mark is a disc of 12 pixels radius, 1.4
percent of the image, or with --cue large a band of 48 pixels along the whole
border, 19 percent. At least 120 pixels lie between the mark and any square.

Every other image is red, so that guessing is right half of the time. An image
depends on the seed, its split and its number only.
"""

import cv2
import numpy as np
from coco_writer import DataSet, Drawn
from maker_arguments import parse

from nlse_mm.training.user_error import in_one_sentence

Box = tuple[int, int, int, int]  # x, y, width, height

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
    cue = dict(choices=CUES, default="small", help="a disc or a band (small)")
    args = parse(__doc__, argv, *IMAGES, cue=cue)
    ids = {colour: place for place, colour in enumerate(COLOURS, start=1)}

    def draw_one(rng: np.random.Generator, number: int) -> Drawn:
        colour = list(COLOURS)[number % 2]
        image, boxes = draw(rng, colour, args.cue)
        return Drawn(image, [annotation(box, ids[colour]) for box in boxes])

    categories = [
        dict(id=id_, name=colour, supercategory="square") for colour, id_ in ids.items()
    ]
    about = "Far cue, {}: drawn by make_far_cue.py"
    DataSet("far_cue", "1.1", categories, draw_one, about).make(args)


def annotation(box: Box, category: int) -> dict:
    """Return what COCO says about a box that is filled."""
    x, y, w, h = box
    ring = [x, y, x + w, y, x + w, y + h, x, y + h]
    return dict(
        category_id=category, bbox=list(box), area=w * h, segmentation=[ring], iscrowd=0
    )


def draw(
    rng: np.random.Generator, colour: str, cue: str
) -> tuple[np.ndarray, list[Box]]:
    """Draw an image (H, W, 3) of bytes, BGR; return it and its squares.

    The same ``rng`` draws the same image for either colour, but for the mark.
    """
    image, grey = background(rng)
    boxes = place_squares(rng)
    for x, y, w, h in boxes:
        contrast = rng.choice([-1, 1]) * rng.uniform(45, 80)
        image[y : y + h, x : x + w] = grey + contrast
    noise = 4 * rng.standard_normal(image.shape)
    image[cover(rng, cue)] = COLOURS[colour]
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8), boxes


def background(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw grey clouds (H, W, 3); return them and their mean."""
    grey = rng.uniform(100, 155)
    coarse = rng.uniform(-25, 25, (4, 8))
    clouds = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.repeat((grey + clouds)[..., None], 3, axis=2), grey


def place_squares(rng: np.random.Generator) -> list[Box]:
    """Place one to three squares that neither overlap nor touch."""
    boxes: list[Box] = []
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
    """Return the pixels of the mark, (H, W) booleans."""
    y, x = np.indices((HEIGHT, WIDTH))
    if cue == "large":
        return x < BAND
    left = rng.uniform(RADIUS + 1, RADIUS + 6)
    top = rng.uniform(RADIUS + 1, HEIGHT - RADIUS - 1)
    return (x - left) ** 2 + (y - top) ** 2 <= RADIUS**2


if __name__ == "__main__":
    in_one_sentence(main)()
