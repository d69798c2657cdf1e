"""The attention of a clip: the weights that a place in one frame gives to all frames.

Shapes: N batch, C channels, h heads, T x H x W positions, P queries, Q keys; a clip of
T' frames, whose maps have T. Points are (x, y, frame), sizes (H, W).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nlse_mm.errors import ConfigError

from .attention import AttentionMap
from .image_geometry import ImageGeometry
from .methods import HasAttention
from .volume_keys import VolumeKeys


@dataclass(frozen=True)
class ClipAttention:
    """The weights that one query gives to its keys, in T frames.

    Args:
        block: The block's path in its model.
        at: The frame of the query among the T of the map.
        frames: By frame of the map, the weights of that frame's cells; NaN where no
            key is, as with ``axis='space'`` in other frames.
    """

    block: str
    at: int
    frames: tuple[AttentionMap, ...]

    @property
    def weights(self) -> Tensor:
        """The weights (T, h', w'), NaN where no key is."""
        return torch.stack([frame.weights for frame in self.frames])

    def strongest(self, number: int) -> list[tuple[int, float, float, float]]:
        """Return the largest weights, largest first: frame, x, y of the cell, weight.

        ``frame`` is one of the map's.
        """
        weights = self.weights
        _, height, width = weights.shape
        number = min(number, int((~weights.isnan()).sum()))
        top = weights.nan_to_num(nan=-torch.inf).flatten().topk(number)
        found = []
        for weight, at in zip(*(t.tolist() for t in top), strict=True):
            frame, cell = divmod(at, height * width)
            x, y = self.frames[frame].centre(*divmod(cell, width))
            found.append((frame, x, y, weight))
        return found


def check_frames(points: Sequence[tuple[int, int, int]], length: int) -> None:
    """Raise ConfigError unless each point's frame is one of a clip's ``length``."""
    for x, y, frame in points:
        if not -length <= frame < length:
            raise ConfigError(
                f"the point {x},{y},{frame} is in no frame of the clip, which has "
                f"frames 0 to {length - 1}; -1 is the last"
            )


@torch.no_grad()
def clip_attention(
    name: str,
    block: HasAttention,
    x: Tensor,
    points: Sequence[tuple[int, int, int]],
    geometry: ImageGeometry,
    length: int,
) -> list[ClipAttention]:
    """Return the attention of each of ``points``; only their rows are computed.

    Args:
        name: The block's path in its model.
        block: A module that has ``attention(x, positions)``. It may say with ``axis``
            which positions are a query's keys, as ``nlse_mm.NonLocal3d`` does.
        x: Its input (1, C, T, H, W) for one clip, which has the size of its output.
        points: Pixels of the frames and frames of the clip, (x, y, frame); negative
            frames count from the end.
        geometry: Of each frame.
        length: Frames T' of the clip.

    Raises:
        ConfigError: If a point is outside of the clip, or the keys are no volume.
    """
    check_frames(points, length)
    frames, height, width = size = (x.shape[2], x.shape[3], x.shape[4])
    flat, queries = [], []
    for px, py, frame in points:
        row, column = geometry.cell((px, py), (height, width))
        queries.append(frame % length * frames // length)
        flat.append((queries[-1] * height + row) * width + column)
    at = torch.tensor(flat, device=x.device)
    rows = block.attention(x, at)[0].mean(0)  # (P, Q)
    keys = VolumeKeys.of(block, rows.shape[1], size)
    if keys is None:
        raise ConfigError(
            f"the attention of {name} is no volume: its {rows.shape[1]} keys are no "
            "grid of square cells over the {} x {} x {} positions of its "
            "input".format(*size)
        )
    volumes = keys.in_volume(rows, at).float().cpu()  # (P, T, h', w')
    down, across = (
        volumes.shape[d] * keys.side * n / s
        for d, n, s in zip((2, 3), geometry.network, (height, width), strict=True)
    )
    ends = geometry.to_image(0, 0), geometry.to_image(across, down)
    return [
        ClipAttention(
            name, query, tuple(AttentionMap(name, point[:2], w, *ends) for w in volume)
        )
        for point, query, volume in zip(points, queries, volumes, strict=True)
    ]
