"""How much a block's attention depends on the query, and how far it reaches.

Shapes: C channels, h heads, H x W or T x H x W positions, P of them queries, Q keys.
"""

import math

import torch
from torch import Tensor

from .attention import key_grid
from .methods import HasAttention
from .volume_keys import VolumeKeys

# What is measured, in the order of the columns.
FIELDS = ("input", "output", "rows", "entropy", "distance", "uniform")
FRAME_FIELDS = ("frames", "uniform frames")  # of clips as well


def spread(number: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return rows and columns of ``number`` positions of a map, evenly spread.

    All positions, if the map has fewer.

    The same for the same numbers, and no random number is used: a training with the
    hook is the training without it. The additive sequence of Martin Roberts' `The
    Unreasonable Effectiveness of Quasirandom Sequences
    <https://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/>`_.
    """
    height, width = size
    if number >= height * width:
        at = torch.arange(height * width)
    else:
        n = torch.arange(1, number + 1, dtype=torch.float64)
        row = (height * (0.5 + 0.7548776662466927 * n).frac()).long()
        column = (width * (0.5 + 0.5698402909980532 * n).frac()).long()
        at = (row * width + column).unique()
    return at // width, at % width


@torch.no_grad()
def measure(
    block: HasAttention,
    x: Tensor,
    y: Tensor,
    at: Tensor,
    stride: tuple[float, float] | None,
) -> Tensor:
    r"""Return ``FIELDS`` of one image, in float64.

    ``input``, ``output`` and ``rows`` are the mean, over all pairs of different
    queries, of the cosine distance :math:`(1 - \cos(v_i, v_j)) / 2`: 0 if all are
    alike, at most 1. As table 1 of `GCNet <https://arxiv.org/abs/1904.11492>`_, with v
    the block's input, what it adds to it, and the rows of weights; GCNet takes all
    queries, not a sample.

    ``entropy`` is the rows' entropy over that of a uniform row: 1 if all keys have the
    same weight, 0 if one has it all. ``distance`` is the mean distance from the query
    to the keys by their weight, in pixels of the network's input, and ``uniform`` what
    it would be for uniform rows. For these three a row is
    :math:`|a_{ij}| / \sum_j |a_{ij}|`, since the weights of the modes without a softmax
    have any sign and any sum.

    Vectors of zeros are left out, such as rows that the concatenation's ReLU closed.
    What is then not defined is NaN: the output's distance of a block that adds exactly
    nothing, as at the start. So are distances in pixels where ``stride`` is None.

    Of a block with several heads, what is said of rows is the mean over the heads.

    Args:
        block: The block.
        x: Its input (1, C, H, W).
        y: Its output, of the same shape.
        at: Flat indices (P,) of the queries.
        stride: Pixels of the network's input for a position, (down, across).
    """
    size = (x.shape[2], x.shape[3])
    rows = _rows(block, x, at)
    pixels = None if stride is None else _pixels(at, rows.shape[2], size, stride)
    return _measured(x, y, at, rows, pixels)


@torch.no_grad()
def measure_clip(
    block: HasAttention,
    x: Tensor,
    y: Tensor,
    at: Tensor,
    stride: tuple[float, float, float] | None,
) -> tuple[Tensor, Tensor]:
    """Return ``FIELDS`` and ``FRAME_FIELDS`` of one clip, in float64.

    ``FIELDS`` are those of :func:`measure`, with distances within a frame, wherever the
    key's frame is. ``frames`` is the mean number of frames of the network's input from
    the query to the keys by their weight, and ``uniform frames`` what it would be for
    uniform rows. Of a block with an ``axis``, rows are compared from key to key within
    the query's own frame, or its own place.

    Args:
        block: The block.
        x: Its input (1, C, T, H, W).
        y: Its output, of the same shape.
        at: Flat indices (P,) of the queries.
        stride: Frames and pixels of the network's input for a position, in time, down
            and across.
    """
    rows = _rows(block, x, at)
    keys = VolumeKeys.of(block, rows.shape[2], (x.shape[2], x.shape[3], x.shape[4]))
    if stride is None or keys is None:
        of_frames = rows.new_full((len(FRAME_FIELDS),), torch.nan)
        return _measured(x, y, at, rows, None), of_frames
    pixels, frames = keys.distances(at, stride)
    of_frames = torch.stack([_of_rows(head, frames)[-2:] for head in rows]).nanmean(0)
    return _measured(x, y, at, rows, pixels), of_frames


def _rows(block: HasAttention, x: Tensor, at: Tensor) -> Tensor:
    """Return the rows of weights (h, P, Q) of the first input, in float64."""
    dtype = next((p.dtype for p in block.parameters()), x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return block.attention(x.to(dtype), at)[0].double()


def _measured(
    x: Tensor, y: Tensor, at: Tensor, rows: Tensor, pixels: Tensor | None
) -> Tensor:
    """Return ``FIELDS``, from what goes in and out and the rows (h, P, Q)."""
    # In float64 the difference of two floats is exact.
    features = x[0].flatten(1)[:, at].T.double()  # (P, C)
    added = y[0].flatten(1)[:, at].T.double() - features
    of_heads = torch.stack([_of_rows(head, pixels) for head in rows])  # (h, 4)
    of_features = mean_cosine_distance(features), mean_cosine_distance(added)
    return torch.cat([torch.stack(of_features), of_heads.nanmean(0)])


def _of_rows(rows: Tensor, pixels: Tensor | None) -> Tensor:
    """Return ``rows``, ``entropy``, ``distance`` and ``uniform`` of one head.

    Args:
        rows: (P, Q), float64.
        pixels: (P, Q): from each query to each key, if that is known.
    """
    open_ = rows.any(1)
    share = rows[open_].abs() / rows[open_].abs().sum(1, keepdim=True)
    # Of a single key it is 0 / 0, which is NaN.
    entropy = torch.special.entr(share).sum(1).mean() / math.log(rows.shape[1])
    distance = uniform = entropy.new_full((), torch.nan)
    if pixels is not None:
        pixels = pixels[open_].to(share)
        distance, uniform = (share * pixels).sum(1).mean(), pixels.mean()
    return torch.stack((mean_cosine_distance(rows), entropy, distance, uniform))


def _pixels(
    at: Tensor, keys: int, size: tuple[int, int], stride: tuple[float, float]
) -> Tensor | None:
    """Return the pixels (P, Q) between queries and keys; None if these are no map."""
    grid = key_grid(keys, size)
    if grid is None:
        return None
    _, width, side = grid
    every = torch.arange(keys, device=at.device)
    queries = _centres(at, size[1], 1, stride)
    return torch.cdist(queries, _centres(every, width, side, stride))


def mean_cosine_distance(vectors: Tensor) -> Tensor:
    r"""Return the mean of :math:`(1 - \cos(v_i, v_j)) / 2` over pairs of vectors.

    For unit vectors it is :math:`\sum_i |u_i - \bar u|^2 / (2 (P - 1))`, which takes
    P, not P * P, steps. Of ``vectors`` (P, D) those that are zero are left out; NaN if
    fewer than two are left.
    """
    vectors = vectors[vectors.any(1)]
    if len(vectors) < 2:
        return vectors.new_full((), torch.nan)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    return (unit - unit.mean(0)).square().sum() / (2 * (len(unit) - 1))


def _centres(at: Tensor, width: int, side: int, stride: tuple[float, float]) -> Tensor:
    """Return centres (P, 2) of cells of ``side`` positions, pixels down and across."""
    place = torch.stack((at // width, at % width), dim=1).double() + 0.5
    return place * side * torch.tensor(stride, dtype=torch.float64, device=at.device)
