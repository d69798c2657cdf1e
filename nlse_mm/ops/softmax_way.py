"""The rule by which softmax attention goes one way or another.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values.
"""

from enum import Enum

import torch


class Way(Enum):
    """Name the ways."""

    FLASH = "PyTorch's flash kernel, where PyTorch says that it takes the tensors"
    BLOCKS = "blocks of weights: many small images, or some queries of a large one"


def softmax_way(
    device: str, dtype: torch.dtype, n: int, p: int, q: int, d: int, e: int
) -> Way:
    """Choose the way: flash on a GPU, in 16 bits, with D = E <= 256; else blocks.

    PyTorch doesn't refuse what its flash kernel can't count: more than 65,535 images
    end in an invalid configuration (pytorch/pytorch#146704), and its backward pass
    indexes images times queries times channels, padded, in 32 bits.
    Flash is only to be tried: whether it takes them, PyTorch says of the very tensors,
    on some cards not above 192 channels with gradients. Channels are padded to
    multiples of 8 by PyTorch itself. No other kernel is tried: the memory-efficient one
    refuses channels that aren't multiples of 4 or 8, and at 512 channels its backward
    pass is slow. Which images and queries make a block, ``ops/blocks.py`` says once the
    sizes are known: a graph's may be open here.

    Args:
        device: The kind of device, such as ``'cuda'``.
        dtype: Of queries, keys and values.
        n: Images N.
        p: Queries P.
        q: Keys Q.
        d: Channels D of queries and keys.
        e: Channels E of values.

    Example:
        >>> softmax_way("cuda", torch.bfloat16, 2, 4200, 1050, 257, 257).name
        'BLOCKS'
    """
    is_half = dtype in (torch.float16, torch.bfloat16)
    if device != "cuda" or not is_half or not d == e <= 256 or min(n, p, q, d) == 0:
        return Way.BLOCKS
    indexed = n * -(-p // 128) * 128 * max(d, 32)
    return Way.FLASH if n < 2**16 and indexed <= 2**31 else Way.BLOCKS
