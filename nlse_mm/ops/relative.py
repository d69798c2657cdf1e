"""Attention whose weights depend on where a key lies relative to the query.

Shapes: N batch, C channels, H x W or Q keys, U x V or P queries, h heads, E channels of
values once the heads are mixed, B queries of a chunk.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .exported_map import warn_of_map
from .tracing import needs_formula

# Weights at a time. In single precision 36 MiB, above the 32 MiB up to which the C
# library may keep what is freed for itself: smaller chunks left holes, GiB in all.
WEIGHT_CHUNK = 9 * 2**20


def separable_attention(
    x: Tensor, rows: Tensor, columns: Tensor, mixing: Tensor
) -> Tensor:
    r"""Average with a product of a row's and a column's weight, and mix the heads.

    .. math:: y_{uv} = \sum_h M_h \sum_{ij} r_{hui}\, c_{hvj}\, x_{ij}

    `On the Relationship between Self-Attention and Convolutional Layers
    <https://arxiv.org/abs/1911.03584>`_, equation 4, for scores that are a sum, one
    term for the row and one for the column. The softmax over all positions of such a
    score is the product of the softmaxes of the two terms. The paper's code computes
    the U V x H W weights of each head; here two small matrix products take their place.
    Before them the heads are mixed, so that their means need not exist side by side.

    Costs h E H W (C + V) + h E U V H multiplications an image, and E H (W + V) numbers
    of memory for one head at a time; for a backward pass those of all heads are kept.

    Args:
        x: (N, C, H, W).
        rows: Weights of the rows, (h, U, H); each sums to 1 over H.
        columns: Weights of the columns, (h, V, W); each sums to 1 over W.
        mixing: (E, h, C).

    Returns:
        (N, E, U, V).

    Example:
        >>> x = torch.rand(1, 2, 3, 4)
        >>> mean = torch.full((1, 1, 3), 1 / 3), torch.full((1, 1, 4), 1 / 4)
        >>> y = separable_attention(x, *mean, torch.eye(2)[:, None])
        >>> torch.allclose(y, x.mean((2, 3), keepdim=True))
        True
    """
    images, _, height, _ = x.shape
    last = x.permute(0, 2, 3, 1)  # (N, H, W, C)
    total: Tensor | None = None
    # A loop over the heads: in one product their values would be (N, H, W, h E).
    for row, column, mix in zip(rows, columns, mixing.unbind(1), strict=True):
        values = last @ mix.T  # (N, H, W, E)
        wide = column.expand(images, height, -1, -1) @ values  # (N, H, V, E)
        means = row.expand(images, -1, -1) @ wide.flatten(2)  # (N, U, V E)
        total = means if total is None else total + means
    assert total is not None  # there is a head
    total = total.unflatten(2, (columns.shape[1], len(mixing)))  # (N, U, V, E)
    return total.permute(0, 3, 1, 2)  # (N, E, U, V)


def separable_means(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    r"""Average as :func:`separable_attention` does, without mixing the heads.

    .. math:: m_{huv} = \sum_{ij} r_{hui}\, c_{hvj}\, x_{ij}

    For a mixing layer that has to be called on the means of all heads. Costs
    h C H W V + h C U V H multiplications an image, and h C V (H + 2 U) numbers of
    memory.

    Args:
        x: (N, C, H, W).
        rows: Weights of the rows, (h, U, H).
        columns: Weights of the columns, (h, V, W).

    Returns:
        (N, h * C, U, V), the heads one after the other.
    """
    wide = columns[:, None, None] @ x.permute(0, 2, 3, 1)  # (h, N, H, V, C)
    means = rows[:, None] @ wide.flatten(3)  # (h, N, U, V C)
    means = means.unflatten(3, wide.shape[3:])  # (h, N, U, V, C)
    means = means.permute(1, 0, 4, 2, 3)  # (N, h, C, U, V)
    return means.flatten(1, 2)  # (N, h C, U, V)


def concatenate_heads(means: Tensor) -> Tensor:
    """Put the heads' means (N, h, B, C) one after the other, (N, B, h C)."""
    return means.transpose(1, 2).flatten(2)  # (N, B, h, C), then (N, B, h C)


def attend_in_chunks(
    value: Tensor,
    scores: Callable[[Tensor], Tensor],
    mix: Callable[[Tensor], Tensor],
    positions: Tensor,
) -> Tensor:
    r"""Average the values, weighted by the softmax of any scores, in linear memory.

    .. math:: y_i = \mathrm{mix}_h \sum_j \mathrm{softmax}_j(s_{hij})\, v_j

    The scores exist for a chunk of queries of all images at a time, which may share
    them, and are computed again for the gradients: ``WEIGHT_CHUNK`` of them, or those
    of one query where these are more.
    Costs h P Q C multiplications an image, beside what ``scores`` and ``mix`` do.

    Args:
        value: (N, Q, C).
        scores: From indices of queries (B,) to their scores (N or 1, h, B, Q).
        mix: From a chunk's means (N, h, B, C) to what is kept of it, (N, B, E).
        positions: The indices of all queries, (P,).

    Returns:
        (N, P, E).
    """

    def attend(chunk: Tensor) -> Tensor:
        weights = scores(chunk).softmax(dim=-1)  # (N or 1, h, B, Q)
        # All heads share the values: one product, and no copy for each head.
        means = weights.flatten(1, 2) @ value  # (N, h B, C)
        return mix(means.unflatten(1, weights.shape[1:3]))  # (N, h, B, C) to (N, B, E)

    # On ``meta`` there is no memory to save, and PyTorch 2.1 has no checkpoint.
    if needs_formula() or value.is_meta:
        warn_of_map("each head of self-attention", value, positions.shape[0])
        return attend(positions)
    # One query's scores say how many images and heads there are.
    heads = scores(positions[:1]).shape[:2].numel()
    size = max(WEIGHT_CHUNK // max(heads * value.shape[1], 1), 1)
    # The reentrant kind needs an input with a gradient, and indices have none.
    chunks = [
        # Nothing here is random, and to keep the generators' states costs each chunk.
        checkpoint(attend, chunk, use_reentrant=False, preserve_rng_state=False)
        for chunk in positions.split(size)  # (B,)
    ]  # (N, B, E) each
    return torch.cat(chunks, dim=1)  # (N, P, E)
