"""Which offsets from the query the heads of relative self-attention prefer."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError

from .methods import HasAttention, with_attention


@dataclass
class Heads:
    """The heads of one layer, for a query in the middle of a large map without content.

    Args:
        name: The layer's path in its model.
        mean: (h, 2): the mean offset of each head's weights, (row, column), in
            positions of the layer's map.
        covariance: (h, 2, 2): how widely they spread around it.
        weights: (h, 2 R + 1, 2 R + 1): the weight of each offset up to R.
    """

    name: str
    mean: Tensor
    covariance: Tensor
    weights: Tensor

    def distinct(self) -> int:
        """Count the different positions that the heads' mean offsets are nearest to."""
        return len({tuple(place) for place in self.mean.round().tolist()})


def measure_heads(model: nn.Module, reach: int = 12) -> list[Heads]:
    """Measure the heads of all self-attention layers of ``model``.

    On a map of zeros: products of queries and keys, which depend on the image, are zero
    there.

    Args:
        model: Any model with layers such as ``nlse_mm.SelfAttention2d``: they have
            ``attention(x, positions)``, ``in_channels``, ``num_heads`` and, where not
            every position is a query, ``stride``.
        reach: Largest offset R, each way.

    Returns:
        In the model's order.

    Raises:
        ConfigError: If the model has no such layer.
    """
    layers = {
        name: layer
        for name, layer in with_attention(model).items()
        if hasattr(layer, "num_heads") and hasattr(layer, "in_channels")
    }
    if not layers:
        raise ConfigError(
            f"{type(model).__name__} has no SelfAttention2d layer, nor any other with "
            "a method attention(x, positions), in_channels and num_heads"
        )
    return [_measure(name, layer, reach) for name, layer in layers.items()]


@torch.no_grad()
def _measure(name: str, layer: HasAttention, reach: int) -> Heads:
    stride = cast(int, getattr(layer, "stride", 1))
    middle = math.ceil(reach / stride)  # in queries
    edge = middle * stride  # so that a query is in the middle
    side = 2 * edge + 1
    channels = cast(int, layer.in_channels)
    like = next(layer.parameters(), torch.empty(0))
    x = like.new_zeros(1, channels, side, side)
    at = middle * math.ceil(side / stride) + middle
    query = torch.tensor([at], device=x.device)
    weights = layer.attention(x, query)[0, :, 0].double()  # (h, side * side)
    line = torch.arange(-edge, edge + 1, device=x.device, dtype=torch.float64)
    offsets = torch.cartesian_prod(line, line)  # (side * side, 2): rows, columns
    mean = weights @ offsets  # (h, 2)
    around = offsets - mean[:, None]  # (h, side * side, 2)
    covariance = torch.einsum("hp,hpi,hpj->hij", weights, around, around)
    inside = slice(edge - reach, edge + reach + 1)
    weights = weights.view(-1, side, side)[:, inside, inside]
    return Heads(name, mean, covariance, weights)
