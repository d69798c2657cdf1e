"""Pooling before a layer, and maps that are large enough for it.

Shapes: N batch, C channels, ``*`` spatial dimensions, D channels of queries and keys.
"""

from torch import Tensor, nn

from nlse_mm.errors import ConfigError


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


def check_poolable(x: Tensor) -> None:
    """Raise ConfigError unless a map (N, C, *) can be pooled by 2 each way."""
    # The last two dimensions: a volume's first is not pooled.
    if min(x.shape[2:][-2:]) < 2:
        size = " x ".join(map(str, x.shape[2:]))
        raise ConfigError(f"sub_sample=True needs 2 positions each way, not {size}")
