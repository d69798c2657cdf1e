"""Attention whose weights depend on where a position is looked at from.

Letters: N images, h heads, C channels, H x W positions looked at, U x V positions that
ask.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .tracing import is_exporting

BLOCK = 2 * 2**20  # weights at a time, 8 MiB in single precision


def separable_attention(value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    r"""Mean of the values, weighted by a product of a row's and a column's weight.

    .. math:: y_{uv} = \sum_{ij} r_{ui}\, c_{vj}\, x_{ij}

    The softmax over all positions of a score that is a sum, one term for the row and
    one for the column, is such a product: that of the softmaxes of the two terms. Two
    small matrix products take the place of one with U V x H W weights.

    Args:
        value: (N, C, H, W).
        rows: Weights of the rows, (h, U, H); each sums to 1 over H.
        columns: Weights of the columns, (h, V, W).

    Returns:
        (N, h, C, U, V).
    """
    wide = value[:, None] @ columns.transpose(1, 2)[:, None]  # (N, h, C, H, V)
    return rows[:, None] @ wide


def attend_in_blocks(
    value: Tensor,
    scores: Callable[[Tensor], Tensor],
    mix: Callable[[Tensor], Tensor],
    positions: Tensor,
) -> Tensor:
    """Mean of the values, weighted by the softmax of any scores, in linear memory.

    The scores exist for a block of queries at a time, and are computed again for the
    gradients.

    Args:
        value: (N, P, C), the positions looked at.
        scores: From indices of queries (B,) to their scores (N or 1, h, B, P).
        mix: From a block's means (N, h, B, C) to what is kept of it, (N, B, E).
        positions: The indices of all queries, (Q,).

    Returns:
        (N, Q, E).
    """

    def attend(block: Tensor) -> Tensor:
        return mix(scores(block).softmax(dim=-1) @ value[:, None])

    if is_exporting():
        return attend(positions)
    heads = scores(positions[:1]).shape[:2].numel()
    size = max(BLOCK // max(heads * value.shape[1], 1), 1)
    blocks = [checkpoint(attend, b, use_reentrant=False) for b in positions.split(size)]
    return torch.cat(blocks, dim=1)
