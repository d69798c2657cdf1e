"""Measuring the attention of a model's blocks while it runs.

Shapes: N batch, C channels, T x H x W positions.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from nlse_mm.errors import ConfigError

from .capture import capture_outputs
from .methods import HasAttention, attention_blocks
from .moments import RunningMoments
from .statistics import FIELDS, FRAME_FIELDS, measure, measure_clip, spread


class AttentionMeter:
    """Measure the blocks that have attention while a model runs in :meth:`measuring`.

    Of each call of a block it measures the first image (or region, or clip), from
    queries spread over that image without its padding. The mean over calls is kept, by
    block in ``moments``: vectors of ``FIELDS``; and, of blocks on clips, in ``frames``:
    vectors of ``FRAME_FIELDS``. A block whose output doesn't have the shape of its
    input, a map (N, C, H, W) or a volume (N, C, T, H, W), isn't measured.

    Args:
        model: A model of MMEngine's kind, with a ``data_preprocessor``.
        queries: Queries P of an image.

    Raises:
        ConfigError: If the model has no block, or for fewer than two queries.
    """

    def __init__(self, model: nn.Module, queries: int) -> None:
        if queries < 2:
            raise ConfigError(f"queries={queries} is not an integer of at least 2")
        self.queries = queries
        self.blocks = attention_blocks(model)
        self.moments = {name: RunningMoments(len(FIELDS)) for name in self.blocks}
        self.frames = {name: RunningMoments(len(FRAME_FIELDS)) for name in self.blocks}
        self._preprocessor = cast(nn.Module, model.data_preprocessor)
        # (H, W) of the network's input, and of the image on it.
        self._sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
        self._length = 0  # frames of the clip

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure each call of a block within it."""
        data = capture_outputs({"": self._preprocessor}, self._receive_data)
        with data, capture_outputs(self.blocks, self._receive_block):
            yield

    def _receive_data(
        self, name: str, layer: nn.Module, data: Any, output: Any
    ) -> None:
        self._sizes = None
        inputs = output.get("inputs") if isinstance(output, dict) else None
        if isinstance(inputs, Tensor):
            self._length, height, width = inputs.shape[-3:]  # channels, of an image
            self._sizes = (height, width), (height, width)
            for sample in (output.get("data_samples") or ())[:1]:
                image = sample.metainfo.get("img_shape", (height, width))
                self._sizes = (height, width), (image[0], image[1])

    def _receive_block(
        self, name: str, block: HasAttention, x: Tensor, y: Tensor
    ) -> None:
        if not len(x) or x.ndim not in (4, 5) or x.shape != y.shape:
            return  # no regions, or no map and what is added to it
        if x.ndim == 5:
            self._receive_volume(name, block, x, y)
            return
        height, width = inside = (x.shape[2], x.shape[3])
        stride = None
        if self._sizes and not _is_of_regions(name):
            network, image = self._sizes
            stride = (network[0] / height, network[1] / width)
            inside = (
                min(height, math.ceil(image[0] / stride[0])),
                min(width, math.ceil(image[1] / stride[1])),
            )
        row, column = spread(self.queries, inside)
        at = (row * width + column).to(x.device)
        self.moments[name].update(measure(block, x[:1], y[:1], at, stride))

    def _receive_volume(
        self, name: str, block: HasAttention, x: Tensor, y: Tensor
    ) -> None:
        frames, height, width = x.shape[2:]
        stride = None
        if self._sizes:
            network, _ = self._sizes
            down, across = network[0] / height, network[1] / width
            stride = (self._length / frames, down, across)
        # A volume is a tall map for this: its frames above each other.
        row, column = spread(self.queries, (frames * height, width))
        at = (row * width + column).to(x.device)
        of_fields, of_frames = measure_clip(block, x[:1], y[:1], at, stride)
        self.moments[name].update(of_fields)
        self.frames[name].update(of_frames)


def _is_of_regions(name: str) -> bool:
    return name.startswith("roi_head.")
