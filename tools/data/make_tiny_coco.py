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

import numpy as np
from coco_writer import DataSet, Drawn
from maker_arguments import parse
from tiny_coco.annotation import annotate
from tiny_coco.scene import random_scene, render
from tiny_coco.shapes import CATEGORIES

from nlse_mm.errors import ConfigError
from nlse_mm.training.command_line import at_least
from nlse_mm.training.user_error import in_one_sentence


def main(argv: list[str] | None = None) -> None:
    args = parse(
        __doc__,
        argv,
        train=2500,
        val=200,
        size=dict(type=at_least(64), nargs=2, default=[128, 160], metavar=("H", "W")),
        objects=dict(type=at_least(1), nargs=2, default=[1, 5], metavar=("MIN", "MAX")),
        crowds=dict(type=float, default=0.1, help="share of images with one (0.1)"),
    )
    if args.objects[0] > args.objects[1]:
        raise ConfigError(f"--objects {args.objects} is not MIN <= MAX")
    if not 0 <= args.crowds <= 1:
        raise ConfigError(f"--crowds {args.crowds} is not 0 to 1")

    def draw(rng: np.random.Generator, number: int) -> Drawn:
        scene = random_scene(rng, args.size, args.objects, args.crowds)
        image, seen = render(*scene)
        annotations, labels = [], np.zeros(image.shape[:2], np.uint8)
        for thing, mask in seen:
            ids = dict(category_id=thing.category)
            annotations.append(ids | annotate(mask, thing.crowd))
            labels[mask] = 1 + list(CATEGORIES.values()).index(thing.category)
        return Drawn(image, annotations, labels)

    categories = [
        dict(id=id_, name=shape.__name__, supercategory="shape")
        for shape, id_ in CATEGORIES.items()
    ]
    about = "Tiny COCO, {}: shapes drawn by make_tiny_coco.py"
    DataSet("tiny_coco", "1.0", categories, draw, about).make(args)


if __name__ == "__main__":
    in_one_sentence(main)()
