#!/usr/bin/env python
"""Write scikit-learn's handwritten digits as a folder of images for each class.

    tools/data/make_digits.py data/digits

1,797 grey images of 8 x 8 pixels, scanned from forms that people filled in: the test
half of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI machine
learning repository, CC BY 4.0), which scikit-learn brings along. 1,437 go to train/0 to
train/9 and 360 to test/0 to test/9, the layout of MMPretrain's CustomDataset, each
digit with the same share of both. Which go where depends on the seed only.
"""

from pathlib import Path
from typing import Any

import numpy as np
from coco_writer import write_image
from maker_arguments import parse
from whole_folder import make_whole

from nlse_mm.errors import MissingPackageError
from nlse_mm.training.user_error import in_one_sentence

TEST_IMAGES = 360
VERSION = "1.0"  # to raise when the same seed gives other bytes
WHITE = 16  # the data's grey values are 0 to 16


def main(argv: list[str] | None = None) -> None:
    args = parse(__doc__, argv)
    digits = load()

    def write(root: Path) -> None:
        for split, numbers in splits(digits.target, args.seed).items():
            for number in numbers:
                path = root / split / str(digits.target[number]) / f"{number:04d}.png"
                write_image(
                    path, np.uint8(np.rint(digits.images[number] * 255 / WHITE))
                )

    recipe = dict(seed=args.seed, version=VERSION)
    if make_whole(args.target, "digits", recipe, write):
        train = len(digits.target) - TEST_IMAGES
        print(f"{args.target}: {train} + {TEST_IMAGES} images.")


def load() -> Any:
    """Load the ``images`` (1797, 8, 8) and the ``target``, the digits (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingPackageError(
            f"the digits are scikit-learn's, which can't be imported ({error}): "
            "pip install scikit-learn"
        ) from error
    return load_digits()


def splits(target: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Split the images' numbers, each class in the same ratio."""
    rng = np.random.default_rng(seed)
    # In turn from each class, in random order: any part of it has its share of each.
    order = rng.permutation(len(target))
    turn = np.empty(len(target))
    for digit in np.unique(target):
        own = order[target[order] == digit]
        turn[own] = (np.arange(len(own)) + 0.5) / len(own)
    order = order[np.argsort(turn[order], kind="stable")]
    return dict(train=np.sort(order[TEST_IMAGES:]), test=np.sort(order[:TEST_IMAGES]))


if __name__ == "__main__":
    in_one_sentence(main)()
