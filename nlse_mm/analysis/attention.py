"""Where non-local blocks look in an image.

Shapes: C channels, H x W positions of the block's map, Q keys, a grid
of h x w. Points are (x, y), sizes (H, W); a point's pixel reaches from x to x + 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError
from nlse_mm.plugins import NonLocal2d


def non_local_blocks(
    model: nn.Module, names: Sequence[str] = ()
) -> dict[str, NonLocal2d]:
    """The non-local blocks of ``model`` by their path, in the model's order.

    Args:
        model: Any model.
        names: Only these; a path's end is enough, such as ``layer3.4.nonlocal_block``.

    Raises:
        ValueError: If there is none, or none of one of the names.
    """
    blocks = {n: m for n, m in model.named_modules() if isinstance(m, NonLocal2d)}
    if not blocks:
        raise ConfigError(f"{type(model).__name__} has no nlse_mm.NonLocal2d block")
    if not names:
        return blocks
    chosen = {}
    for name in names:
        found = [n for n in blocks if f".{n}".endswith(f".{name}")]
        if not found:
            there = ", ".join(blocks)
            raise ConfigError(f"no block is named {name!r}; there are {there}")
        chosen |= {n: blocks[n] for n in found}
    return chosen


def looked_at(block: NonLocal2d, size: tuple[int, int]) -> tuple[int, int, int]:
    """Height h and width w of the grid looked at, and a cell's side in positions.

    Sub-sampling drops the last row and column of an odd ``size``.
    """
    side = 2 if block.sub_sample else 1
    return size[0] // side, size[1] // side, side


@dataclass(frozen=True)
class Placement:
    """How an image lies on the network's input: resized, flipped, padded.

    Padding is on the right and at the bottom, as the toolboxes do it.

    Args:
        image: (H, W) of the image, in pixels.
        network: (H, W) of the network's input with its padding, in pixels.
        scale: Pixels of the input for a pixel of the image, (x, y).
        mirrored: Whether the image is flipped left to right, and top to bottom.
    """

    image: tuple[int, int]
    network: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    mirrored: tuple[bool, bool] = (False, False)

    @classmethod
    def from_metainfo(
        cls, metainfo: Mapping[str, Any], network: tuple[int, int]
    ) -> "Placement":
        """Of a data sample's ``metainfo``, as mmdet and mmseg write it."""
        direction = metainfo.get("flip_direction") if metainfo.get("flip") else None
        return cls(
            tuple(metainfo["ori_shape"][:2]),
            tuple(network),
            tuple(map(float, metainfo.get("scale_factor", (1.0, 1.0))[:2])),
            (
                direction in ("horizontal", "diagonal"),
                direction in ("vertical", "diagonal"),
            ),
        )

    def to_network(self, x: float, y: float) -> tuple[float, float]:
        """A point of the image on the network's input."""
        return tuple(
            scale * (side - at if mirrored else at)
            for at, side, scale, mirrored in self._axes(x, y)
        )

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """A point of the network's input on the image, or beyond its edge."""
        return tuple(
            side - at / scale if mirrored else at / scale
            for at, side, scale, mirrored in self._axes(x, y)
        )

    def cell(self, point: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Row and column, on a map of ``size``, of a pixel of the image.

        Raises:
            ValueError: If the pixel is outside of the image.
        """
        height, width = self.image
        x, y = point
        if not (0 <= x < width and 0 <= y < height):
            raise ConfigError(
                f"the point {x},{y} is outside of the image, which has x from 0 to "
                f"{width - 1} and y from 0 to {height - 1}"
            )
        across, down = self.to_network(x + 0.5, y + 0.5)
        row = int(down * size[0] / self.network[0])
        column = int(across * size[1] / self.network[1])
        return min(row, size[0] - 1), min(column, size[1] - 1)

    def _axes(self, x: float, y: float):
        height, width = self.image
        return zip((x, y), (width, height), self.scale, self.mirrored, strict=True)


@dataclass(frozen=True)
class Look:
    """Where one block looks from one query.

    Args:
        block: The block's path in its model.
        point: The pixel of the image that asks, (x, y).
        weights: (h, w): the row of the block's weights.
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
        """The ``number`` largest weights, largest first: x, y of the cell, weight."""
        height, width = self.weights.shape
        top = self.weights.flatten().topk(min(number, self.weights.numel()))
        (left, above), (right, below) = self.corner, self.opposite
        return [
            (
                left + (right - left) * (at % width + 0.5) / width,
                above + (below - above) * (at // width + 0.5) / height,
                weight,
            )
            for weight, at in zip(*(t.tolist() for t in top), strict=True)
        ]


@torch.no_grad()
def look(
    name: str,
    block: NonLocal2d,
    x: Tensor,
    points: Sequence[tuple[int, int]],
    placement: Placement,
) -> list[Look]:
    """Where ``block`` looks from each of ``points``; only their rows are computed.

    Args:
        name: The block's path in its model.
        block: The block.
        x: Its input (1, C, H, W) for one image.
        points: Pixels of the image, (x, y).
        placement: Of the image.

    Raises:
        ValueError: If a point is outside of the image.
    """
    size = tuple(x.shape[2:])
    cells = [placement.cell(point, size) for point in points]
    at = torch.tensor([row * size[1] + column for row, column in cells])
    *grid, side = looked_at(block, size)
    rows = block.attention(x, at.to(x.device))[0].unflatten(1, grid).float().cpu()
    down, across = (
        g * side * n / s for g, n, s in zip(grid, placement.network, size, strict=True)
    )
    ends = placement.to_picture(0, 0), placement.to_picture(across, down)
    return [Look(name, p, row, *ends) for p, row in zip(points, rows, strict=True)]
