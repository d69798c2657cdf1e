"""Blocks of a batch's P x Q weights, of which one exists at a time.

Shapes: N batch, P queries, Q keys.
"""

from collections.abc import Iterator
from itertools import product

# Weights of a block: in single precision 32 MiB. Fewer queries than that, or than
# QUERIES, would read the keys, and add to their gradients, too often for products at
# the speed of large ones; more would only cost memory.
BLOCK_WEIGHTS = 2**23
QUERIES = 768
# A GPU computes a block of that size in less time than its dozen kernels take to start.
GPU_FACTOR = 4


def blocks(
    n: int, p: int, q: int, device: str = "cpu"
) -> Iterator[tuple[slice, slice]]:
    """Iterate over blocks: slices of the images, and slices of their queries.

    As many whole images as ``BLOCK_WEIGHTS``, on a GPU ``GPU_FACTOR`` times as many,
    allows, for one product of all of them:
    the rois of a head are hundreds of small images. Of an image that is larger than
    that, some of the queries: up to ``QUERIES`` while they have no more than twice as
    many weights, and at least one, with its weights to all keys.

    Example:
        >>> [(n.stop, p.stop) for n, p in blocks(3, 1024, 4096)]  # 4 Mi weights each
        [(1, 1024), (3, 1024)]
    """
    images, queries = block_size(n, p, q, device)
    return product(_slices(n, images), _slices(p, queries))


def block_size(n: int, p: int, q: int, device: str = "cpu") -> tuple[int, int]:
    """Return the images and the queries of the largest block."""
    most = most_weights(device)
    images = _even(n, most // max(p * q, 1))
    queries = most // max(q, 1)
    return images, _even(p, max(queries, min(QUERIES, 2 * queries)))


def most_weights(device: str) -> int:
    """Return how many weights a block has on a kind of device, at most."""
    return BLOCK_WEIGHTS * (GPU_FACTOR if device == "cuda" else 1)


def _even(count: int, most: int) -> int:
    """Return the largest size of as few parts of nearly one size as ``most`` allows."""
    # For a rest of a few queries all keys would be read once more.
    most = min(max(most, 1), max(count, 1))
    return -(-count // -(-count // most)) if count else 0


def _slices(count: int, size: int) -> list[slice]:
    number = -(-count // size) if count else 0
    return [
        slice(i * count // number, (i + 1) * count // number) for i in range(number)
    ]
