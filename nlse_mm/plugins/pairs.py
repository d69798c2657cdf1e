"""The pairwise function of mode ``concatenation``: one layer on each pair of positions.

Shapes: N batch, C channels of the map, ``*`` its spatial dimensions, P queries, Q keys,
D channels of queries and keys, E channels of values (here E = D).
"""

from typing import Protocol

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from nlse_mm import ops
from nlse_mm.ops.older_torch import module_itself
from nlse_mm.ops.tracing import is_hooked

from .merged import project, project_to_number
from .plain_layers import Layer, is_plain_conv


class Layers(Protocol):
    """Name the layers of a non-local block of this mode, but for its last."""

    theta: Layer
    phi: Layer
    g: Layer
    concat_project: ConvModule  # 2 D channels to 1, and a ReLU


def embed_pairs(x: Tensor, layers: Layers) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what the pairs' weights are made of, and the values.

    Memory grows with P + Q. Where ``concat_project`` must be called, on all pairs, it
    grows with 2 D P Q, as in MMCV's block.

    Args:
        x: (N, C, *).
        layers: The block.

    Returns:
        a (N, P), b (N, Q) and g (N, Q, E), with w^T [theta_i, phi_j] = a_i + b_j; where
        the layer must be called, theta (N, P, D) and phi (N, Q, D) in place of a and b.
    """
    if not _is_sum(layers.concat_project):
        theta, phi, g = project(x, layers.theta, layers.phi, layers.g)
        return theta, phi, g
    # theta and phi aren't made: of each only one number a position is needed.
    (g,) = project(x, layers.g)  # (N, Q, E)
    return *_summands(x, layers), g


def rectified_mean(
    query: Tensor, key: Tensor, value: Tensor, layer: ConvModule
) -> Tensor:
    r"""Average the values, weighted by the pairs' weights.

    .. math:: y_i = \frac{1}{Q} \sum_j
                    \mathrm{ReLU}(w^\top [\theta(x_i), \phi(x_j)])\, g(x_j)

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equation 5.

    Args:
        query: What :func:`embed_pairs` computes, of the queries.
        key: Likewise, of the keys.
        value: (N, Q, E).
        layer: ``concat_project``.

    Returns:
        (N, P, E).
    """
    if _is_sum(layer):
        return ops.concatenation_attention(query, key, value)
    return _weights(query, key, layer) @ value  # (N, P, E)


def rectified_weights(query: Tensor, key: Tensor, layer: ConvModule) -> Tensor:
    """Compute the weights (N, P, Q) of the pairs; arguments as in rectified_mean."""
    if _is_sum(layer):
        a, b = query[:, :, None], key[:, None, :]  # (N, P, 1), (N, 1, Q)
        return (a + b).relu() / key.shape[1]  # (N, P, Q)
    return _weights(query, key, layer)


def _is_sum(layer: ConvModule) -> bool:
    """Tell whether the layer is a rectified sum that may be computed without it."""
    return (
        not is_hooked(layer)
        and type(module_itself(layer)) is ConvModule
        and is_plain_conv(module_itself(layer.conv))
        and layer.conv.bias is None
        and not layer.with_norm
        and layer.with_activation
        and type(module_itself(layer.activate)) is nn.ReLU
    )


def _summands(x: Tensor, layers: Layers) -> tuple[Tensor, Tensor]:
    """Compute a (N, P) and b (N, Q) of w^T [theta_i, phi_j] = a_i + b_j."""
    weight = layers.concat_project.conv.weight.flatten(1)  # (1, 2 D)
    weights = weight.chunk(2, dim=1)  # (1, D) each
    return (
        project_to_number(x, layers.theta, weights[0]),
        project_to_number(x, layers.phi, weights[1]),
    )


def _weights(theta: Tensor, phi: Tensor, layer: ConvModule) -> Tensor:
    """Call the layer on all pairs of theta (N, P, D) and phi (N, Q, D): (N, P, Q)."""
    p, q = theta.shape[1], phi.shape[1]
    first = theta.transpose(1, 2)[:, :, :, None].expand(-1, -1, -1, q)  # (N, D, P, Q)
    second = phi.transpose(1, 2)[:, :, None, :].expand(-1, -1, p, -1)  # (N, D, P, Q)
    # As a map of P x Q positions, which is what a hook in MMCV's block is given.
    return layer(torch.cat([first, second], dim=1))[:, 0] / q  # (N, P, Q)
