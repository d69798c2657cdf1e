"""Where the heads of relative self-attention look."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError
from nlse_mm.plugins import SelfAttention2d


@dataclass
class Heads:
    """The heads of one layer, seen from a query in the middle of a large map.

    Args:
        name: The layer's path in its model.
        mean: (h, 2): the mean offset of where each head looks, (row, column), in
            positions of the layer's map.
        covariance: (h, 2, 2): how widely it looks around it.
        weights: (h, 2 R + 1, 2 R + 1): how much it looks at each offset up to R.
    """

    name: str
    mean: Tensor
    covariance: Tensor
    weights: Tensor

    def distinct(self) -> int:
        """How many different positions the heads' mean offsets are nearest to."""
        return len({tuple(place) for place in self.mean.round().tolist()})


def look_at_heads(model: nn.Module, reach: int = 12) -> list[Heads]:
    """The heads of all self-attention layers of ``model``, in the model's order.

    Products of queries and keys, which depend on the image, are left out.

    Args:
        model: Any model that has ``SelfAttention2d`` layers.
        reach: Largest offset R looked at, each way.

    Raises:
        ValueError: If the model has no such layer.
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, SelfAttention2d)}
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no SelfAttention2d layer")
    return [_look(name, layer, reach) for name, layer in layers.items()]


@torch.no_grad()
def _look(name: str, layer: SelfAttention2d, reach: int) -> Heads:
    size, device = 2 * reach + 1, layer.value.weight.device
    middle = torch.tensor([reach], device=device)
    scores = layer.encoding.scores(middle, middle, (size, size))[
        :, 0
    ]  # (h, size, size)
    weights = scores.flatten(1).softmax(-1).double()
    line = torch.arange(-reach, reach + 1, device=device, dtype=torch.float64)
    offsets = torch.cartesian_prod(line, line)  # (size * size, 2): rows, columns
    mean = weights @ offsets
    around = offsets - mean[:, None]
    covariance = torch.einsum("hp,hpi,hpj->hij", weights, around, around)
    return Heads(name, mean, covariance, weights.view(-1, size, size))
