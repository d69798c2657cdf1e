#!/usr/bin/env python
"""Make clips whose class can only be told by comparing their first and last frames.

    tools/data/make_far_cue_video.py data/far_cue_video

Clips of 16 frames of 32 x 32 pixels, mp4, MMAction2's VideoDataset layout. A coloured
square lies somewhere in the first two frames, another one somewhere in the last two;
the twelve frames between show the grey background alone. Of class 1 (agree) are the
clips whose squares have the same colour, of class 0 (differ) the others.

Each of the four pairs of colours comes equally often, so one square says nothing about
the class. Each frame is a PNG image: what is read is what was drawn, and no frame keeps
a trace of another one. A clip depends on the seed, its split and its number
only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from make_far_cue import COLOURS
from maker_arguments import parse
from rich.progress import track
from whole_folder import make_whole

from nlse_mm.errors import ConfigError
from nlse_mm.training.user_error import in_one_sentence

FRAMES, SIDE = 16, 32  # of a clip; height and width in pixels
MARKED = 2  # frames at each end that show a square
# Shortest and longest side of a square: so far apart that the amount of a colour in all
# frames together doesn't give the number of its squares away.
SIDES = (6, 16)
PAIRS = [(one, other) for one in COLOURS for other in COLOURS]
SPLITS = ("train", "val")
CLIPS = (1000, 400)  # for training, for validation
RATE = 10  # frames a second


def main(argv: list[str] | None = None) -> None:
    args = parse(__doc__, argv, *CLIPS, what="clips")
    recipe = vars(args) | dict(version="1.0")
    target: Path = recipe.pop("target")

    def write(root: Path) -> None:
        for index, split in enumerate(SPLITS):
            write_split(root, split, [args.seed, index], getattr(args, split))

    if make_whole(target, "far_cue_video", recipe, write):
        print(f"{target}: {args.train} + {args.val} clips.")


def write_split(root: Path, split: str, seeds: list[int], count: int) -> None:
    """Write the clips of a split, and the list of their names and classes."""
    folder, lines = root / f"videos_{split}", []
    folder.mkdir()
    for number in track(range(count), description=split):
        first, last = PAIRS[number % len(PAIRS)]
        name = f"{number:06d}.mp4"
        clip = draw(np.random.default_rng([*seeds, number]), first, last)
        write_clip(folder / name, clip)
        lines.append(f"{name} {int(first == last)}\n")
    (root / f"far_cue_{split}_list_videos.txt").write_text("".join(lines))


def draw(rng: np.random.Generator, first: str, last: str) -> np.ndarray:
    """Draw a clip (T, H, W, 3) of bytes, BGR.

    The same ``rng`` draws the same clip for any colours, but for its squares' pixels.
    """
    coarse = rng.uniform(-25, 25, (4, 4))
    clouds = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    grey = rng.uniform(100, 155) + clouds
    clip = np.tile(grey[None, ..., None], (FRAMES, 1, 1, 3))  # (T, H, W, 3)
    ends = (slice(MARKED), slice(FRAMES - MARKED, FRAMES))
    for frames, colour in zip(ends, (first, last), strict=True):
        side = rng.integers(*SIDES, endpoint=True)
        y, x = rng.integers(0, SIDE - side, 2, endpoint=True)
        clip[frames, y : y + side, x : x + side] = COLOURS[colour]
    clip += 4 * rng.standard_normal(clip.shape)
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def write_clip(path: Path, clip: np.ndarray) -> None:
    """Write a clip (T, H, W, 3) and read it again: ``VideoWriter`` hides failures.

    Raises:
        ConfigError: If OpenCV can't write such files.
        OSError: If it didn't, because the disk is full.
    """
    with no_stderr():  # it says which tag the mp4 file gives to PNG
        code = cv2.VideoWriter.fourcc(*"png ")
        writer = cv2.VideoWriter(str(path), code, RATE, clip.shape[2:0:-1])  # (W, H)
    if not writer.isOpened():
        raise ConfigError(f"OpenCV {cv2.__version__} can't write PNG into an mp4 file")
    for frame in clip:
        writer.write(frame)
    writer.release()
    reader = cv2.VideoCapture(str(path))
    if not all(np.array_equal(reader.read()[1], frame) for frame in clip):
        raise OSError(f"{path.name} does not hold what was written to it")


@contextmanager
def no_stderr() -> Iterator[None]:
    """Discard what C++ code prints to stderr."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


if __name__ == "__main__":
    in_one_sentence(main)()
