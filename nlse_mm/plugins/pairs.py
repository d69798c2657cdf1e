"""The pairwise function of mode ``concatenation``: one layer on each pair of positions.

Shapes: N batch, C channels of the map, D channels inside, P queries, Q keys, * any
number of spatial dimensions.
"""

from typing import Protocol

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from nlse_mm import ops
from nlse_mm.ops.tracing import is_hooked

from .merged import is_plain_conv, project, project_to_number


class Layers(Protocol):
    """What a non-local block of this mode consists of, but for its last layer."""

    theta: nn.Module
    phi: nn.Module
    g: nn.Module
    concat_project: nn.Module  # 2 D channels to 1, and a ReLU


def rectified_mean(x: Tensor, layers: Layers) -> Tensor:
    """Mean of the values, weighted by the pairs' weights.

    Args:
        x: (N, C, *).
        layers: The block.

    Returns:
        (N, P, D).
    """
    if _is_sum(layers.concat_project):
        (g,) = project(x, layers.g)
        return ops.concatenation_attention(*_summands(x, layers), g)
    theta, phi, g = project(x, layers.theta, layers.phi, layers.g)
    return _weights(theta, phi, layers.concat_project) @ g


def rectified_weights(x: Tensor, layers: Layers, positions: Tensor) -> Tensor:
    """The weights of the pairs of the queries at ``positions``, and all keys.

    Returns:
        (N, len(positions), Q).
    """
    if _is_sum(layers.concat_project):
        a, b = _summands(x, layers)
        return (a[:, positions, None] + b[:, None, :]).relu() / b.shape[1]
    (theta,), (phi,) = project(x, layers.theta), project(x, layers.phi)
    return _weights(theta[:, positions], phi, layers.concat_project)


def _is_sum(layer: nn.Module) -> bool:
    """Whether nobody notices if the layer's rectified sum is computed without it."""
    return (
        not is_hooked(layer)
        and type(layer) is ConvModule
        and is_plain_conv(layer.conv)
        and layer.conv.bias is None
        and not layer.with_norm
        and layer.with_activation
        and type(layer.activate) is nn.ReLU
    )


def _summands(x: Tensor, layers: Layers) -> tuple[Tensor, Tensor]:
    """The a (N, P) and b (N, Q) of w^T [theta_i, phi_j] = a_i + b_j."""
    weights = layers.concat_project.conv.weight.flatten(1).chunk(2, dim=1)
    return (
        project_to_number(x, layers.theta, weights[0]),
        project_to_number(x, layers.phi, weights[1]),
    )


def _weights(theta: Tensor, phi: Tensor, layer: nn.Module) -> Tensor:
    """Call the layer on all pairs of theta (N, P, D) and phi (N, Q, D): (N, P, Q)."""
    p, q = theta.shape[1], phi.shape[1]
    first = theta.transpose(1, 2)[:, :, :, None].expand(-1, -1, -1, q)
    second = phi.transpose(1, 2)[:, :, None, :].expand(-1, -1, p, -1)
    return layer(torch.cat([first, second], dim=1))[:, 0] / q
