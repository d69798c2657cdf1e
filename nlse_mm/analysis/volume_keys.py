"""Where in a volume the keys of a query are: in space, in time or in both.

Shapes: T x H x W positions, P queries, Q keys, a grid of t' x h' x w' keys.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import key_grid
from .methods import HasAttention


@dataclass(frozen=True)
class VolumeKeys:
    """The keys of a volume's queries, as a grid.

    Args:
        size: (T, H, W) of the volume.
        grid: (t', h', w'): frames, rows and columns of a query's keys.
        side: Positions that a key has in height and in width.
        axis: ``'spacetime'``: the grid is the volume; ``'space'``: it is the frame of
            the query; ``'time'``: it is the place of the query in all frames.
    """

    size: tuple[int, int, int]
    grid: tuple[int, int, int]
    side: int
    axis: str

    @classmethod
    def of(
        cls, block: HasAttention, keys: int, size: tuple[int, int, int]
    ) -> "VolumeKeys | None":
        """Return the keys of a block; None if they are no grid of square cells.

        Args:
            block: One that may say with ``axis`` which positions are a query's keys.
            keys: Q, the length of a row of weights.
            size: (T, H, W) of the block's input.
        """
        axis = getattr(block, "axis", None)
        frames, *frame = size
        if axis == "time":
            return cls(size, (frames, 1, 1), 1, axis) if keys == frames else None
        inside = frames if axis != "space" else 1
        found = key_grid(keys // inside, (frame[0], frame[1]))
        if found is None or keys % inside:
            return None
        height, width, side = found
        axis = "space" if axis == "space" else "spacetime"
        return cls(size, (inside, height, width), side, axis)

    def in_volume(self, rows: Tensor, at: Tensor) -> Tensor:
        """Put rows of weights (P, Q) into volumes (P, T, h', w'), NaN between keys.

        Args:
            rows: Of the queries.
            at: Flat indices (P,) of the queries, (t H + h) W + w.
        """
        grids = rows.unflatten(1, self.grid)  # (P, t', h', w')
        if self.axis == "spacetime":
            return grids
        frames, height, width = self.size
        frame, row, column = self._split(at)
        each = torch.arange(len(at), device=at.device)
        if self.axis == "space":
            shape = (len(at), frames, *self.grid[1:])
            volumes = rows.new_full(shape, torch.nan)
            volumes[each, frame] = grids[:, 0]
        else:
            volumes = rows.new_full((len(at), frames, height, width), torch.nan)
            volumes[each, :, row, column] = rows
        return volumes

    def distances(
        self, at: Tensor, stride: tuple[float, float, float]
    ) -> tuple[Tensor, Tensor]:
        """Return how far each key is from each query: (P, Q) pixels, (P, Q) frames.

        Args:
            at: Flat indices (P,) of the queries.
            stride: Frames and pixels of the network's input for a position, in time,
                down and across.
        """
        queries = torch.stack(self._split(at), dim=1)[:, None].double() + 0.5
        sides = [torch.arange(n, device=at.device) for n in self.grid]
        keys = torch.cartesian_prod(*sides)[None].double() + 0.5  # (1, Q, 3)
        keys = keys * keys.new_tensor((1, self.side, self.side))
        offset = keys - queries  # (P, Q, 3)
        # Along its axis only: the keys of a query share its frame, or its place.
        offset[..., self._shared] = 0
        offset = offset * offset.new_tensor(stride)
        return offset[..., 1:].norm(dim=2), offset[..., 0].abs()

    @property
    def _shared(self) -> list[int]:
        return {"spacetime": [], "space": [0], "time": [1, 2]}[self.axis]

    def _split(self, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return frame, row and column of flat indices."""
        _, height, width = self.size
        return at // (height * width), at // width % height, at % width
