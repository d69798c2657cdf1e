"""The attention maps of an image: the weights that chosen pixels give to all others.

Shapes: N batch, C channels, h heads, H x W positions, P queries, Q keys, a grid of
h' x w'. Points are (x, y), sizes (H, W).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nlse_mm.errors import ConfigError

from .image_geometry import ImageGeometry
from .methods import HasAttention


def key_grid(keys: int, size: tuple[int, int]) -> tuple[int, int, int] | None:
    """Return the grid of the keys, and how many positions a cell has each way.

    The keys are the positions of the module's input, or its cells of 2 x 2, 3 x 3 and
    so on, as pooling makes them: an odd map's last row and column drop out, or are
    cells that reach beyond it.

    Args:
        keys: Q, the length of a row of weights.
        size: (H, W) of the module's input.

    Returns:
        Height and width of the grid, and the cell's side in positions; None if no such
        grid has as many cells.
    """
    height, width = size
    for side in range(1, max(size) + 1):
        for rounded in (0, side - 1):  # down, up
            grid = (height + rounded) // side, (width + rounded) // side
            if grid[0] * grid[1] == keys:
                return *grid, side
    return None


@dataclass(frozen=True)
class AttentionMap:
    """The weights that one query gives to all keys, on the image.

    Args:
        block: The block's path in its model.
        point: The pixel of the image that is the query, (x, y).
        weights: (h', w'): the query's row of weights, the mean over the heads.
        corner: The point of the image where ``weights`` begin (their first row and
            column), in pixels; a mirrored image's is on the right.
        opposite: The point where they end, beyond the image's edge where the input
            is padded.
    """

    block: str
    point: tuple[int, int]
    weights: Tensor
    corner: tuple[float, float]
    opposite: tuple[float, float]

    def strongest(self, number: int) -> list[tuple[float, float, float]]:
        """Return the largest weights, largest first: x, y of the cell, weight."""
        width = self.weights.shape[1]
        top = self.weights.flatten().topk(min(number, self.weights.numel()))
        return [
            (*self.centre(at // width, at % width), weight)
            for weight, at in zip(*(t.tolist() for t in top), strict=True)
        ]

    def centre(self, row: int, column: int) -> tuple[float, float]:
        """Return the middle of a cell on the image, (x, y)."""
        height, width = self.weights.shape
        (left, above), (right, below) = self.corner, self.opposite
        return (
            left + (right - left) * (column + 0.5) / width,
            above + (below - above) * (row + 0.5) / height,
        )


@torch.no_grad()
def attention_maps(
    name: str,
    block: HasAttention,
    x: Tensor,
    size: tuple[int, int],
    points: Sequence[tuple[int, int]],
    geometry: ImageGeometry,
) -> list[AttentionMap]:
    """Return the attention map of each of ``points``; only their rows are computed.

    Args:
        name: The block's path in its model.
        block: A module that has ``attention(x, positions)``.
        x: Its input (1, C, H, W) for one image.
        size: (H, W) of its output.
        points: Pixels of the image, (x, y).
        geometry: Of the image.

    Raises:
        ConfigError: If a point is outside of the image, or the keys are no map.
    """
    cells = [geometry.cell(point, size) for point in points]
    at = torch.tensor([row * size[1] + column for row, column in cells])
    rows = block.attention(x, at.to(x.device))[0].mean(0)  # (P, Q)
    inside = (x.shape[2], x.shape[3])
    found = key_grid(rows.shape[1], inside)
    if found is None:
        raise ConfigError(
            f"the attention of {name} is no map: its {rows.shape[1]} keys are no grid "
            "of square cells over the {} x {} positions of its input".format(*inside)
        )
    *grid, side = found
    down, across = (
        g * side * n / s for g, n, s in zip(grid, geometry.network, inside, strict=True)
    )
    ends = geometry.to_image(0, 0), geometry.to_image(across, down)
    maps = rows.unflatten(1, grid).float().cpu()  # (P, h', w')
    return [AttentionMap(name, p, m, *ends) for p, m in zip(points, maps, strict=True)]
