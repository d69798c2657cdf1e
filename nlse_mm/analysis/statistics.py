"""How much a non-local block's attention depends on the query, and how far it reaches.

Shapes: C channels, H x W positions, S of them that ask, Q keys.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError
from nlse_mm.plugins import NonLocal2d

from .attention import looked_at, non_local_blocks
from .moments import RunningMoments
from .watch import watching

# What is measured, in the order of the columns.
FIELDS = ("input", "output", "rows", "entropy", "distance", "uniform")


class AttentionMeter:
    """Measures a model's non-local blocks whenever it runs inside :meth:`measuring`.

    Of each call of a block it measures the first image (or region), from queries
    spread over that image without its padding. The mean over calls is kept, by block
    in ``moments``: vectors of ``FIELDS``.

    Args:
        model: A model of MMEngine's kind, with a ``data_preprocessor``.
        queries: Positions that ask, S.

    Raises:
        ValueError: If the model has no block, or for fewer than two queries.
    """

    def __init__(self, model: nn.Module, queries: int) -> None:
        if queries < 2:
            raise ConfigError(f"queries={queries} is not an integer of at least 2")
        self.queries = queries
        self.blocks = non_local_blocks(model)
        self.moments = {name: RunningMoments(len(FIELDS)) for name in self.blocks}
        self._preprocessor = model.data_preprocessor
        self._network = self._content = None

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Within it, each call of a block is measured."""
        first = {"": self._preprocessor}
        with watching(first, self._see_data), watching(self.blocks, self._see_block):
            yield

    def _see_data(self, name: str, layer: nn.Module, data: Any, output: Any) -> None:
        self._network = self._content = None
        inputs = output.get("inputs") if isinstance(output, dict) else None
        if isinstance(inputs, Tensor):
            self._network = self._content = tuple(inputs.shape[-2:])
            for sample in (output.get("data_samples") or ())[:1]:
                self._content = tuple(sample.metainfo.get("img_shape", self._network))

    def _see_block(self, name: str, block: NonLocal2d, x: Tensor, y: Tensor) -> None:
        if not len(x):
            return  # no regions
        size, stride = tuple(x.shape[2:]), None
        inside = size
        if self._network and not _is_of_regions(name):
            stride = tuple(n / s for n, s in zip(self._network, size, strict=True))
            inside = tuple(
                min(s, math.ceil(c / n))
                for c, n, s in zip(self._content, stride, size, strict=True)
            )
        row, column = spread(self.queries, inside)
        at = (row * size[1] + column).to(x.device)
        self.moments[name].update(measure(block, x[:1], y[:1], at, stride))


def _is_of_regions(name: str) -> bool:
    return name.startswith("roi_head.")


def spread(number: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows and columns of ``number`` positions of a map, evenly spread; all, if fewer.

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
    block: NonLocal2d,
    x: Tensor,
    y: Tensor,
    at: Tensor,
    stride: tuple[float, float] | None,
) -> Tensor:
    r"""``FIELDS`` of one image, in float64.

    ``input``, ``output`` and ``rows`` are the mean, over all pairs of different
    queries, of the cosine distance :math:`(1 - \cos(v_i, v_j)) / 2`: 0 if all are
    alike, at most 1. As table 1 of `GCNet <https://arxiv.org/abs/1904.11492>`_, with v
    the block's input, what it adds to it, and the rows of weights; GCNet takes all
    queries, not a sample.

    ``entropy`` is the rows' entropy over that of a uniform row: 1 if they look
    everywhere alike, 0 at one place. ``distance`` is the mean distance of where they
    look, in pixels of the network's input, and ``uniform`` what it would be for uniform
    rows. For these three a row is :math:`|a_{ij}| / \sum_j |a_{ij}|`, since the
    weights of the modes without a softmax have any sign and any sum.

    Vectors of zeros are left out, such as rows that the concatenation's ReLU closed.
    What is then not defined is NaN: the output's distance of a block that adds exactly
    nothing, as at the start. So are distances in pixels where ``stride`` is None.

    Args:
        block: The block.
        x: Its input (1, C, H, W).
        y: Its output, of the same shape.
        at: Flat indices (S,) of the queries.
        stride: Pixels of the network's input for a position, (down, across).
    """
    size = tuple(x.shape[2:])
    # In float64 the difference of two floats is exact.
    features = x[0].flatten(1)[:, at].T.double()  # (S, C)
    added = y[0].flatten(1)[:, at].T.double() - features
    with torch.autocast(x.device.type, enabled=False):
        weight = block.g[0].conv.weight if block.sub_sample else block.g.conv.weight
        rows = block.attention(x.to(weight.dtype), at)[0].double()  # (S, Q)
    open_ = rows.any(1)
    share = rows[open_].abs() / rows[open_].abs().sum(1, keepdim=True)
    entropy = torch.special.entr(share).sum(1).mean()
    *grid, side = looked_at(block, size)
    if stride is None:
        distance = uniform = entropy.new_full((), torch.nan)
    else:
        asked = _centres(at[open_], size[1], 1, stride)
        looked = _centres(torch.arange(rows.shape[1]), grid[1], side, stride)
        pixels = torch.cdist(asked.to(share), looked.to(share))  # (S, Q)
        distance, uniform = (share * pixels).sum(1).mean(), pixels.mean()
    values = (
        mean_cosine_distance(features),
        mean_cosine_distance(added),
        mean_cosine_distance(rows),
        entropy / math.log(rows.shape[1]) if rows.shape[1] > 1 else entropy * torch.nan,
        distance,
        uniform,
    )
    return torch.stack(values)


def mean_cosine_distance(vectors: Tensor) -> Tensor:
    r"""Mean of :math:`(1 - \cos(v_i, v_j)) / 2` over the pairs of different vectors.

    For unit vectors it is :math:`\sum_i |u_i - \bar u|^2 / (2 (S - 1))`, which takes
    S, not S * S, steps. Of ``vectors`` (S, D) those that are zero are left out; NaN if
    fewer than two are left.
    """
    vectors = vectors[vectors.any(1)]
    if len(vectors) < 2:
        return vectors.new_full((), torch.nan)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    return (unit - unit.mean(0)).square().sum() / (2 * (len(unit) - 1))


def _centres(at: Tensor, width: int, side: int, stride: tuple[float, float]) -> Tensor:
    """Pixels (S, 2) of the centres of cells of ``side`` positions, (down, across)."""
    place = torch.stack((at // width, at % width), dim=1).double() + 0.5
    return place * side * torch.tensor(stride, dtype=torch.float64, device=at.device)
