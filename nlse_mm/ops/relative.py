"""Attention whose weights depend on where a key lies, seen from the query.

Shapes: N batch, h heads, C channels, U x V or P queries, H x W or Q keys.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .tracing import needs_formula

# Weights at a time. In single precision 36 MiB, above the 32 MiB up to which the C
# library may keep what is freed for itself: smaller blocks left holes, GiB in all.
BLOCK = 9 * 2**20


def separable_attention(
    x: Tensor, rows: Tensor, columns: Tensor, mixing: Tensor
) -> Tensor:
    r"""Means weighted by a product of a row's and a column's weight, heads mixed.

    .. math:: y_{uv} = \sum_h M_h \sum_{ij} r_{hui}\, c_{hvj}\, x_{ij}

    The softmax over all positions of a score that is a sum, one term for the row and
    one for the column, is such a product: that of the softmaxes of the two terms. Two
    small matrix products take the place of one with U V x H W weights. The heads are
    mixed first, so that their means need not stand beside each other.

    Args:
        x: (N, C, H, W).
        rows: Weights of the rows, (h, U, H); each sums to 1 over H.
        columns: Weights of the columns, (h, V, W).
        mixing: (E, h, C).

    Returns:
        (N, E, U, V).
    """
    images, _, height, _ = x.shape
    last = x.permute(0, 2, 3, 1)
    total = None
    for row, column, mix in zip(rows, columns, mixing.unbind(1), strict=True):
        values = last @ mix.T  # (N, H, W, E)
        wide = column.expand(images, height, -1, -1) @ values  # (N, H, V, E)
        means = row.expand(images, -1, -1) @ wide.flatten(2)  # (N, U, V E)
        total = means if total is None else total + means
    return total.unflatten(2, (columns.shape[1], len(mixing))).permute(0, 3, 1, 2)


def separable_means(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The same means before they are mixed, those of all heads beside each other.

    Args:
        x: (N, C, H, W).
        rows: Weights of the rows, (h, U, H).
        columns: Weights of the columns, (h, V, W).

    Returns:
        (N, h * C, U, V).
    """
    wide = columns[:, None, None] @ x.permute(0, 2, 3, 1)  # (h, N, H, V, C)
    means = rows[:, None] @ wide.flatten(3)  # (h, N, U, V C)
    means = means.unflatten(3, wide.shape[3:])  # (h, N, U, V, C)
    return means.permute(1, 0, 4, 2, 3).flatten(1, 2)


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
        value: (N, Q, C).
        scores: From indices of queries (B,) to their scores (N or 1, h, B, Q).
        mix: From a block's means (N, h, B, C) to what is kept of it, (N, B, E).
        positions: The indices of all queries, (P,).

    Returns:
        (N, P, E).
    """

    def attend(block: Tensor) -> Tensor:
        weights = scores(block).softmax(dim=-1)  # (N or 1, h, B, Q)
        # All heads share the values: one product, and no copy for each head.
        means = weights.flatten(1, 2) @ value  # (N, h B, C)
        return mix(means.unflatten(1, weights.shape[1:3]))

    if needs_formula():
        return attend(positions)
    heads = scores(positions[:1]).shape[:2].numel()
    size = max(BLOCK // max(heads * value.shape[1], 1), 1)
    blocks = [checkpoint(attend, b, use_reentrant=False) for b in positions.split(size)]
    return torch.cat(blocks, dim=1)
