"""What surfaces look like: gradients, stripes, checks and clouds, all with noise."""

from colorsys import hsv_to_rgb

import cv2
import numpy as np


def texture(
    rng: np.random.Generator,
    size: tuple[int, int],
    hue: float,
    saturation: float,
    contrast: float,
    noise: float,
) -> np.ndarray:
    """Return a surface of two similar colours, (H, W, 3) floats of 0 to 255, BGR.

    ``hue`` and ``saturation`` are 0 to 1, ``contrast`` is the colours' largest
    difference in a channel, ``noise`` the standard deviation of each pixel's.
    """
    rgb = hsv_to_rgb(hue % 1, saturation, rng.uniform(0.3, 1))
    first = 255 * np.array(rgb[::-1])
    second = np.clip(first + rng.uniform(-contrast, contrast, 3), 0, 255)
    pattern = PATTERNS[rng.integers(len(PATTERNS))](rng, size)[..., None]
    surface = noise * rng.standard_normal((*size, 3), np.float32)
    surface += first
    surface += pattern * (second - first)
    return surface


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    along = _distance_along(rng, size)
    return (along - along.min()) / np.ptp(along)


def _stripes(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return (_distance_along(rng, size) % rng.uniform(6, 24) < 4).astype(float)


def _checks(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    y, x = np.indices(size) // rng.integers(4, 16)
    return ((x + y) % 2).astype(float)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    grid = rng.random((rng.integers(2, 8), rng.integers(2, 8)))
    return cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)  # (W, H)


def _distance_along(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.indices(size)
    return x * np.cos(angle) + y * np.sin(angle)


PATTERNS = (_gradient, _stripes, _checks, _clouds)
