"""Pooling: before a layer, in recorded graphs, and what is large enough for it.

Shapes: N batch, C channels, ``*`` spatial dimensions, L length, D channels of queries
and keys.
"""

from torch import Tensor, nn

from nlse_mm.errors import ConfigError
from nlse_mm.ops.tracing import Recorder, recorder


class PoolFirst(nn.Sequential):
    """Run a layer on the pooled map: the second child first.

    The paper pools the layer's output (section 3.3); its authors' code pools the input,
    which costs the layer a quarter of the products in 2D.
    """

    # The children stay in MMCV's order, layer and pool, for its names of parameters.
    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, C, *) to (N, D, *), the latter with Q positions."""
        layer, pool = self
        return layer(pool(x))  # (N, C, *), Q positions, then (N, D, *)


class MaxPool1d(nn.MaxPool1d):
    """Pool sequences by 2, where a graph is recorded as maps of one row.

    Of PyTorch's own, ``torch.export`` fixes the length.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, C, L) to (N, C, L // 2)."""
        by = recorder()
        if by is not None and by is not Recorder.TRACER:
            rows = nn.functional.max_pool2d(x[:, :, None], (1, 2))  # (N, C, 1, L // 2)
            return rows[:, :, 0]  # (N, C, L // 2)
        return super().forward(x)


def check_poolable(x: Tensor) -> None:
    """Raise ConfigError unless a map (N, C, *) can be pooled by 2 each way."""
    # The last two dimensions: a volume's first is not pooled.
    if min(x.shape[2:][-2:]) < 2:
        size = " x ".join(map(str, x.shape[2:]))
        raise ConfigError(f"sub_sample=True needs 2 positions each way, not {size}")
