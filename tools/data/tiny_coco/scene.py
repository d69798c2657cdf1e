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
    """One object, or a crowd of one category.

    Args:
        category: Id of the category.
        parts: Outlines in pixels; the thing is their union.
        surface: (H, W, 3), its look at each pixel of the image.
        crowd: Whether the parts are many objects, annotated as one region.
    """

    category: int
    parts: list[Outline]
    surface: np.ndarray
    crowd: bool = False

    def cover(self) -> np.ndarray:
        """The share of each pixel that the thing takes, (H, W), 0 to 1."""
        height, width = self.surface.shape[:2]
        fine = np.zeros((height * FINE, width * FINE), np.uint8)
        for outline in self.parts:
            rings = [np.rint(ring * FINE).astype(np.int32) for ring in outline]
            cv2.fillPoly(fine, rings, 255)
        return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) / 255

    def area(self) -> float:
        """Its area in pixels if nothing hid it and the image didn't end."""
        low = np.min([ring.min(axis=0) for part in self.parts for ring in part], axis=0)
        high = np.max([r.max(axis=0) for part in self.parts for r in part], axis=0)
        width, height = np.ceil(high - low).astype(int) + 1
        moved = [[ring - low for ring in part] for part in self.parts]
        room = np.empty((height, width, 3))
        return Thing(self.category, moved, room).cover().sum()


def random_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    objects: tuple[int, int],
    crowds: float,
) -> tuple[np.ndarray, list[Thing]]:
    """A background (H, W, 3) and things in front of it, the farthest first.

    Args:
        rng: Source of every choice.
        size: (H, W) in pixels.
        objects: Fewest and most objects to place.
        crowds: Probability of a crowd beside them, 0 to 1.
    """
    hue, saturation = rng.uniform(0, [1, 0.35])
    noise = rng.uniform(2, 10)
    background = texture(rng, size, hue, saturation, contrast=100, noise=noise)
    count = rng.integers(*objects, endpoint=True)
    things = [_object(rng, size) for _ in range(count)]
    if rng.random() < crowds:
        things.insert(rng.integers(count + 1), _crowd(rng, size))
    return background, things


def render(
    background: np.ndarray, things: list[Thing]
) -> tuple[np.ndarray, list[tuple[Thing, np.ndarray]]]:
    """The image, (H, W, 3) bytes, and each thing in it with the pixels it shows.

    Things that are nearly hidden are neither drawn nor returned.
    """
    covers = [thing.cover() for thing in things]
    areas = [thing.area() for thing in things]
    kept = list(range(len(things)))
    while True:
        front = np.full(background.shape[:2], -1)
        for k in kept:
            front[covers[k] >= 0.5] = k
        seen = {k: np.count_nonzero(front == k) for k in kept}
        hidden = [
            k for k in kept if seen[k] < max(LEAST_PIXELS, LEAST_SHARE * areas[k])
        ]
        if not hidden:
            break
        # The nearest alone: what it was hiding may now be seen enough.
        kept.remove(hidden[-1])

    image = background.copy()
    for k in kept:
        image += covers[k][..., None] * (things[k].surface - image)
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return image, [(things[k], front == k) for k in kept]


def _object(rng: np.random.Generator, size: tuple[int, int]) -> Thing:
    shape, category = _category(rng)
    radius = min(size) * np.exp(rng.uniform(np.log(0.12), np.log(0.33)))
    centre = rng.uniform(0, size[::-1])  # x, y
    part = _placed(rng, shape(rng), centre, radius)
    return Thing(category, [part], _surface(rng, size, category))


def _crowd(rng: np.random.Generator, size: tuple[int, int]) -> Thing:
    shape, category = _category(rng)
    middle = rng.uniform(0.2, 0.8, 2) * size[::-1]  # x, y
    unit = min(size)
    parts = [
        _placed(rng, shape(rng), rng.normal(middle, 0.1 * unit), 0.05 * unit)
        for _ in range(rng.integers(8, 16))
    ]
    return Thing(category, parts, _surface(rng, size, category), crowd=True)


def _surface(
    rng: np.random.Generator, size: tuple[int, int], category: int
) -> np.ndarray:
    """A texture around the category's own hue.

    As lemons are yellow: with shape as the only cue a network that starts from random
    weights needs hours.
    """
    order = list(CATEGORIES.values())
    hue = (order.index(category) + rng.uniform(-0.25, 0.25)) / len(order)
    return texture(rng, size, hue, rng.uniform(0.6, 1), contrast=50, noise=4)


def _category(rng: np.random.Generator):
    return list(CATEGORIES.items())[rng.integers(len(CATEGORIES))]


def _placed(
    rng: np.random.Generator, outline: Outline, centre: np.ndarray, radius: float
) -> Outline:
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [radius * ring @ turn + centre for ring in outline]
