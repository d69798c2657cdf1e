"""A scene: things in front of a background, and which pixels of each are seen."""

from dataclasses import dataclass

import cv2
import numpy as np

from .shapes import CATEGORIES, Outline
from .textures import texture

# A thing that shows less than this share of its area, or fewer pixels, is taken out of
# the scene: left in the image without an annotation it would count as a false alarm.
LEAST_SHARE = 0.25
LEAST_PIXELS = 60
FINE = 4  # each pixel is FINE * FINE sub-pixels when an outline is filled


@dataclass
class Thing:
    """One object, or a crowd of one category, which is annotated as one region."""

    category: int  # its id
    parts: list[Outline]  # in pixels; the thing is their union
    surface: np.ndarray  # (H, W, 3), its texture at each pixel of the image
    crowd: bool = False

    def cover(self) -> np.ndarray:
        """Return the share of each pixel that the thing takes, (H, W), 0 to 1."""
        return _fill(self.parts, *self.surface.shape[:2])

    def area(self) -> float:
        """Return its area in pixels if nothing hid it and the image didn't end."""
        points = np.concatenate([ring for part in self.parts for ring in part])
        low = points.min(axis=0)
        width, height = np.ceil(points.max(axis=0) - low).astype(int) + 1
        moved = [[ring - low for ring in part] for part in self.parts]
        return _fill(moved, height, width).sum()


def random_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    objects: tuple[int, int],
    crowds: float,
) -> tuple[np.ndarray, list[Thing]]:
    """Return a background (H, W, 3) and things in front of it, the farthest first.

    ``size`` is (H, W), ``objects`` the fewest and the most, ``crowds`` the probability
    of a crowd among them.
    """
    hue, saturation = rng.uniform(0, [1, 0.35])
    noise = rng.uniform(2, 10)
    background = texture(rng, size, hue, saturation, contrast=100, noise=noise)
    count = rng.integers(*objects, endpoint=True)
    things = [_random_thing(rng, size, crowd=False) for _ in range(count)]
    if rng.random() < crowds:
        things.insert(rng.integers(count + 1), _random_thing(rng, size, crowd=True))
    return background, things


def render(
    background: np.ndarray, things: list[Thing]
) -> tuple[np.ndarray, list[tuple[Thing, np.ndarray]]]:
    """Return the image, (H, W, 3) bytes, and each thing with the pixels it shows.

    Things that are nearly hidden are neither drawn nor returned.
    """
    covers = [thing.cover() for thing in things]
    least = [max(LEAST_PIXELS, LEAST_SHARE * thing.area()) for thing in things]
    kept = list(range(len(things)))
    while True:
        front = np.full(background.shape[:2], -1)
        for k in kept:
            front[covers[k] >= 0.5] = k
        hidden = [k for k in kept if np.count_nonzero(front == k) < least[k]]
        if not hidden:
            break
        # The nearest alone: what it was hiding may now be seen enough.
        kept.remove(hidden[-1])

    image = background.copy()
    for k in kept:
        image += covers[k][..., None] * (things[k].surface - image)
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return image, [(things[k], front == k) for k in kept]


def _random_thing(
    rng: np.random.Generator, size: tuple[int, int], crowd: bool
) -> Thing:
    index = rng.integers(len(CATEGORIES))
    shape, category = list(CATEGORIES.items())[index]
    unit = min(size)
    if crowd:
        middle = rng.uniform(0.2, 0.8, 2) * size[::-1]  # x, y
        parts = [
            _place(rng, shape(rng), rng.normal(middle, 0.1 * unit), 0.05 * unit)
            for _ in range(rng.integers(8, 16))
        ]
    else:
        radius = unit * np.exp(rng.uniform(np.log(0.12), np.log(0.33)))
        centre = rng.uniform(0, size[::-1])  # x, y
        parts = [_place(rng, shape(rng), centre, radius)]
    # Around the category's own hue, as lemons are yellow: with shape as the only cue a
    # network that starts from random weights needs hours.
    hue = (index + rng.uniform(-0.25, 0.25)) / len(CATEGORIES)
    surface = texture(rng, size, hue, rng.uniform(0.6, 1), contrast=50, noise=4)
    return Thing(category, parts, surface, crowd)


def _place(
    rng: np.random.Generator, outline: Outline, centre: np.ndarray, radius: float
) -> Outline:
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [radius * ring @ turn + centre for ring in outline]


def _fill(parts: list[Outline], height: int, width: int) -> np.ndarray:
    """Return the share of each pixel that is within an outline, (H, W), 0 to 1."""
    fine = np.zeros((height * FINE, width * FINE), np.uint8)
    for outline in parts:
        cv2.fillPoly(
            fine, [np.rint(ring * FINE).astype(np.int32) for ring in outline], 255
        )
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) / 255
