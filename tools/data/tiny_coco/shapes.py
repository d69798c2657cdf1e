"""The categories, and the outline of each.

An outline is a list of closed rings ``(V, 2)`` of x, y around the origin, within the
unit circle. Where rings overlap an even number of times there is a hole. A new category
is a function here and a line in ``CATEGORIES``.
"""

from collections.abc import Callable

import numpy as np

Outline = list[np.ndarray]


def ellipse(rng: np.random.Generator) -> Outline:
    return [_regular(48) * [1, rng.uniform(0.6, 1)]]


def rectangle(rng: np.random.Generator) -> Outline:
    return [_regular(4, start=np.pi / 4) * [1, rng.uniform(0.6, 1)]]


def triangle(rng: np.random.Generator) -> Outline:
    return [_regular(3) * [1, rng.uniform(0.8, 1)]]


def star(rng: np.random.Generator) -> Outline:
    ring = _regular(10)
    ring[1::2] *= rng.uniform(0.4, 0.5)
    return [ring]


def ring(rng: np.random.Generator) -> Outline:
    return [_regular(48), _regular(48) * rng.uniform(0.45, 0.6)]


def cross(rng: np.random.Generator) -> Outline:
    a = rng.uniform(0.25, 0.4)  # half of an arm's width
    corner = [[1, -a], [1, a], [a, a]]
    quarter_turn = np.array([[0, 1], [-1, 0]])
    turns = [np.linalg.matrix_power(quarter_turn, k) for k in range(4)]
    points = np.concatenate([corner @ turn for turn in turns])
    return [points / np.hypot(1, a)]


def _regular(corners: int, start: float = 0.0) -> np.ndarray:
    angles = start + np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


# The ids have gaps because COCO's have: code that takes an id for an index shows.
CATEGORIES: dict[Callable[[np.random.Generator], Outline], int] = {
    ellipse: 1,
    rectangle: 2,
    triangle: 4,
    star: 5,
    ring: 7,
    cross: 9,
}
