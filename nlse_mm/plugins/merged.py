"""The 1x1 layers of a non-local block, merged into few products where they may be.

Shapes: N batch, C channels of the map, ``*`` its spatial dimensions, P queries, Q keys
(P after pooling), D channels of queries and keys, E channels of values (here E = D).

A product reads the whole map, so three layers in one product cost less than three. But
it uses the layers' weights without calling the layers. So each of them is called where
one is hooked, replaced or has a parametrised weight, and where the model is recorded.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nlse_mm import ops
from nlse_mm.ops.tracing import is_hooked, is_recording

from .plain_layers import Layer, can_merge, is_product
from .pooling import PoolFirst


class _Affine(Protocol):
    """Describe the convolution of a layer that :func:`can_merge` allows."""

    weight: Tensor
    bias: Tensor
    out_channels: int


def project(x: Tensor, *layers: Layer) -> list[Tensor]:
    """Apply the layers, by one product where :func:`can_merge` allows.

    Costs the layers' multiplications, and reads the map once in place of once a layer.

    Args:
        x: (N, C, *).
        layers: Layers to (N, D, *), whatever they are made of.

    Returns:
        (N, P or Q, D) for each.

    Example:
        >>> layer = ConvModule(3, 2, 1, act_cfg=None)
        >>> (y,) = project(torch.rand(1, 3, 4, 5), layer)
        >>> y.shape
        torch.Size([1, 20, 2])
    """
    if not can_merge(x, *layers):
        # The last first: MMCV's block calls g before theta and phi, and hooks that
        # write down the calls have MMCV's order.
        last, *others = [
            rows(layer(x))  # (N, P or Q, D)
            for layer in (layers[-1], *layers[:-1])
        ]
        return [*others, last]
    # Sorting keeps the order, which decides how the sum of their gradients is rounded.
    pooled = [layer for layer in layers if isinstance(layer, nn.Sequential)]
    plain = [layer for layer in layers if not isinstance(layer, nn.Sequential)]
    outputs = _merge(x, plain), _merge(x, pooled)
    # In the order in which they were given.
    return [outputs[isinstance(layer, nn.Sequential)].pop(0) for layer in layers]


def _merge(x: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
    """Apply layers that share their pooling, or have none, by one product."""
    if not layers:
        return []
    convs = [_conv(layer) for layer in layers]
    weight = torch.cat([conv.weight.flatten(1) for conv in convs])  # (sum of D, C)
    bias = torch.cat([conv.bias for conv in convs])  # (sum of D,)
    pool = layers[0][1] if isinstance(layers[0], nn.Sequential) else None
    if pool is None or isinstance(layers[0], PoolFirst):
        x = x if pool is None else pool(x)  # (N, C, *), P or Q positions
        y = ops.project(x.flatten(2), weight, bias)  # (N, sum of D, P or Q)
    else:
        # Channels first, as the pooling wants them, and the bias after it, for fewer
        # positions: the largest sum with the bias is that with the largest, rounded or
        # not.
        y = weight.expand(x.shape[0], -1, -1).bmm(x.flatten(2))  # (N, sum of D, P)
        y = pool(y.unflatten(2, x.shape[2:])).flatten(2)  # (N, sum of D, Q)
        y = y + bias.to(y.dtype)[:, None]  # bias as (sum of D, 1)
    # Views: attention reads them with any strides. (N, D, P or Q), then (N, P or Q, D)
    parts = y.split([conv.out_channels for conv in convs], dim=1)
    return [part.transpose(1, 2) for part in parts]


def project_to_number(x: Tensor, layer: Layer, weight: Tensor) -> Tensor:
    r"""Multiply a layer's output with one vector.

    .. math:: a_i = w^\top (W x_i + b)

    Costs N P C multiplications where the weights can be merged, in place of N P C D.

    Args:
        x: (N, C, *).
        layer: A layer to (N, D, *).
        weight: (1, D).

    Returns:
        (N, P or Q).
    """
    pooled = isinstance(layer, nn.Sequential)
    if not can_merge(x, layer) or (pooled and not isinstance(layer, PoolFirst)):
        # As a column: onnxruntime 1.31 optimises products with vectors into wrong ones.
        return (project(x, layer)[0] @ weight.T)[..., 0]  # (N, P or Q, 1), (N, P or Q)
    conv = _conv(layer)
    # A product of the weights first: no (N, P, D) tensor is made.
    folded = (
        weight @ conv.weight.flatten(1),  # (1, C)
        (weight @ conv.bias[:, None])[0],  # (1,)
    )
    x = layer[1](x) if pooled else x  # (N, C, *), P or Q positions
    return ops.project(x.flatten(2), *folded)[:, 0]  # (N, P or Q)


def add_output(x: Tensor, y: Tensor, last: ConvModule) -> Tensor:
    r"""Add the last layer's output to the map.

    .. math:: z_i = x_i + W_z y_i

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equation 6. Where
    it can be one product, that costs N P C E multiplications and writes the map once.

    Args:
        x: (N, C, *).
        y: (N, P, E), the positions in the order of ``x``.
        last: The layer to (N, C, *).

    Returns:
        (N, C, *), in the memory format of ``x``.
    """
    must_call = is_recording(x) or is_hooked(last)
    # Under autocast a product would round the sum, which stays in full precision.
    in_one = not must_call and not ops.is_autocast(x)
    if in_one and (product := _as_product(last, x.dtype)):
        z = ops.add_projection(x.flatten(2), y, *product)  # (N, C, P)
        return z.unflatten(2, x.shape[2:])  # (N, C, *)
    y = y.transpose(1, 2).unflatten(2, x.shape[2:])  # (N, E, P), then (N, E, *)
    # Contiguous, as MMCV's block hands it on, where other code may read it.
    return x + last(y.contiguous() if must_call else y)  # (N, C, *)


def rows(x: Tensor) -> Tensor:
    """View ``x`` (N, C, *) as a row for each position, (N, P, C), without copying."""
    return x.flatten(2).transpose(1, 2)  # (N, C, P), then (N, P, C)


def _as_product(
    last: ConvModule, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None] | None:
    r"""Fold the last convolution and its norm into one product, where that is possible.

    .. math:: \gamma \frac{W y + b - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    A batch norm in inference is a scale and a shift, which go into the product; in half
    precision it isn't done, as the norm computes in single.

    Returns:
        Weight (C, E) and bias (C,), or None where the layer has to be called.
    """
    if type(last) is not ConvModule or not is_product(last):
        return None
    weight = last.conv.weight.flatten(1)  # (C, E)
    bias, norm = last.conv.bias, last.norm
    if norm is None or type(norm) is nn.Identity:  # what a folded norm leaves behind
        return weight, bias
    # By what its forward is: a norm of the user's own computes what it likes. Without
    # running statistics the batch's own are used in inference, too.
    known = type(norm).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward)
    if not known or norm.training or norm.running_var is None or dtype.itemsize < 4:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()  # (C,)
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean if bias is None else bias - norm.running_mean
    shift = shift * scale
    # Anew in each call: a copy that is kept would go stale when weights are loaded.
    weight = weight * scale[:, None]  # scale as (C, 1)
    return weight, shift + norm.bias if norm.affine else shift


def _conv(layer: Layer) -> _Affine:
    first: ConvModule = layer[0] if isinstance(layer, nn.Sequential) else layer
    return first.conv
