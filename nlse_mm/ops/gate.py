"""The gate of squeeze and excitation.

Shapes: N batch, C channels, H height, W width, M channels between the two layers of the
excitation.
"""

import torch.nn.functional as F
from torch import Tensor

from .precision import no_autocast, wide

# W_1 (M, C), its bias (M,), W_2 (C, M), its bias (C,); None where there is no bias.
Excitation = tuple[Tensor, Tensor | None, Tensor, Tensor | None]


def excitation(x: Tensor, weights: Excitation, gate_scale: float = 1.0) -> Tensor:
    r"""Compute the gate ``s``.

    .. math:: s = \gamma\, \sigma(W_2\,\mathrm{ReLU}(W_1 \bar x))

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_, equations 2
    and 3. It costs N C H W additions and 2 N C M multiplications.

    Args:
        x: (N, C, H, W).
        weights: ``(W_1, bias, W_2, bias)``, (M, C), (M,), (C, M), (C,).
        gate_scale: Multiplies the sigmoid: the upper bound of ``s``.

    Returns:
        (N, C), each value between 0 and ``gate_scale``.

    Example:
        >>> weights = torch.zeros(1, 2), None, torch.zeros(2, 1), None
        >>> excitation(torch.rand(1, 2, 3, 3), weights)
        tensor([[0.5000, 0.5000]])
    """
    *_, sigmoid = squeeze(x, weights)
    return (gate_scale * sigmoid).to(x.dtype)


def squeeze(x: Tensor, weights: Excitation) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what is on the way to the gate, in single precision at least.

    Sums of a map, and of gradients over one, overflow 16 bits.

    Args:
        x: (N, C, H, W).
        weights: As :func:`excitation` takes them.

    Returns:
        Means (N, C), the hidden layer (N, M), and the sigmoid (N, C).
    """
    dtype = wide(x.dtype)
    w1, b1, w2, b2 = (w if w is None else w.to(dtype) for w in weights)
    assert w1 is not None
    assert w2 is not None
    with no_autocast(x):
        pooled = x.mean((2, 3), dtype=dtype)  # (N, C)
        hidden = F.linear(pooled, w1, b1).relu()  # (N, M)
        return pooled, hidden, F.linear(hidden, w2, b2).sigmoid()
