"""The 1x1 layers of a non-local block, merged into few products where nobody can tell.

Shapes: N batch, C channels of the map, D channels inside, P queries, Q keys (P after
pooling), * any number of spatial dimensions.

A product reads the whole map, so three layers in one product cost less than three, and
its output has the layout that attention wants. But it uses the layers' weights without
calling the layers. Whoever has hooked one, replaced it, parametrised its weight, or
records the model, sees each of them called.
"""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.nn.modules.batchnorm import _BatchNorm

from nlse_mm import ops
from nlse_mm.ops.tracing import is_hooked, is_recording

CONVS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_TENSORS = (nn.Parameter, Tensor, FakeTensor)
# What the classes do, unless somebody replaces it later to see the calls.
_FORWARDS = {cls: cls.forward for cls in (*CONVS, ConvModule)}


class PoolFirst(nn.Sequential):
    """Run a layer on the pooled map; the children's names are those of layer, pool."""

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, *) to (N, D, *), the latter smaller."""
        layer, pool = self
        return layer(pool(x))


def can_merge(x: Tensor, *layers: nn.Module) -> bool:
    """Tell whether nobody notices if the layers' weights are used without calling them.

    Each layer must be a 1x1 convolution with a bias, or that and a max-pooling, which
    is then one for all.
    """
    if is_recording(x) or is_hooked(*layers):
        return False
    pooled = [layer for layer in layers if not _is_affine(layer)]
    return all(
        type(layer) is type(pooled[0])
        and type(layer) in (nn.Sequential, PoolFirst)
        and len(layer) == 2
        and _is_affine(layer[0])
        and layer[1] is pooled[0][1]
        and type(layer[1]) in POOLS
        for layer in pooled
    )


def project(x: Tensor, *layers: nn.Module) -> list[Tensor]:
    """Each layer's output with its channels last.

    Args:
        x: (N, C, *).
        layers: Layers to (N, D, *), whatever they are made of. Where they are called,
            the last is the first, as MMCV's block calls g before theta and phi.

    Returns:
        (N, P or Q, D) for each.
    """
    if not can_merge(x, *layers):
        last, *others = [rows(layer(x)) for layer in (layers[-1], *layers[:-1])]
        return [*others, last]
    pooled = [layer for layer in layers if isinstance(layer, nn.Sequential)]
    plain = [layer for layer in layers if not isinstance(layer, nn.Sequential)]
    outputs = _merge(x, plain), _merge(x, pooled)
    # In the order in which they were given.
    return [outputs[isinstance(layer, nn.Sequential)].pop(0) for layer in layers]


def _merge(x: Tensor, layers: list[nn.Module]) -> list[Tensor]:
    """The outputs of layers that share their pooling, or have none, by one product."""
    if not layers:
        return []
    convs = [_conv(layer) for layer in layers]
    weight = torch.cat([conv.weight.flatten(1) for conv in convs])
    bias = torch.cat([conv.bias for conv in convs])
    pool = layers[0][1] if isinstance(layers[0], nn.Sequential) else None
    if pool is None or isinstance(layers[0], PoolFirst):
        x = x if pool is None else pool(x)
        y = ops.project(x.flatten(2), weight, bias)
    else:
        # The largest sum with the bias is that with the largest, rounded or not.
        y = weight.expand(x.shape[0], -1, -1).bmm(x.flatten(2))  # (N, sum of D, P)
        y = rows(pool(y.unflatten(2, x.shape[2:])))  # (N, Q, sum of D)
        y = y + bias.to(y.dtype)
    return list(y.split([conv.out_channels for conv in convs], dim=2))


def project_to_number(x: Tensor, layer: nn.Module, weight: Tensor) -> Tensor:
    """The products of a layer's output with one vector.

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
        return (project(x, layer)[0] @ weight.T)[..., 0]
    conv = _conv(layer)
    # A product of the weights first: no (N, P, D) tensor is made.
    folded = weight @ conv.weight.flatten(1), (weight @ conv.bias[:, None])[0]
    x = layer[1](x) if pooled else x
    return ops.project(x.flatten(2), *folded)[..., 0]


def add_output(x: Tensor, y: Tensor, last: nn.Module) -> Tensor:
    """Add the last layer's output to the map: ``x + last(y)``.

    Args:
        x: (N, C, *).
        y: (N, P, D), the positions in the order of ``x``.
        last: The layer to (N, C, *).

    Returns:
        (N, C, *), in the memory format of ``x``.
    """
    called = is_recording(x) or is_hooked(last)
    # Under autocast a product would round the sum, which stays in full precision.
    whole = not called and not ops.is_autocast(x)
    if whole and (product := _as_product(last, x.dtype)):
        z = ops.add_projection(x.flatten(2), y, *product)  # (N, C, P)
        return z.unflatten(2, x.shape[2:])
    y = y.transpose(1, 2).unflatten(2, x.shape[2:])  # (N, D, *)
    return x + last(y.contiguous() if called else y)


def rows(x: Tensor) -> Tensor:
    """``x`` (N, D, *) to (N, P, D), without copying."""
    return x.flatten(2).transpose(1, 2)


def _as_product(
    last: nn.Module, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None] | None:
    """Weight (C, D) and bias (C,) of the last convolution and its norm, or None.

    A batch norm in inference is a scale and a shift, which go into the product; in half
    precision it isn't done, as the norm computes in single.
    """
    if type(last) is not ConvModule or not _is_product(last):
        return None
    weight, bias, norm = last.conv.weight.flatten(1), last.conv.bias, last.norm
    if norm is None or type(norm) is nn.Identity:  # what a folded norm leaves behind
        return weight, bias
    known = type(norm).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward)
    if not known or norm.training or norm.running_var is None or dtype.itemsize < 4:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean if bias is None else bias - norm.running_mean
    shift = shift * scale
    return weight * scale[:, None], shift + norm.bias if norm.affine else shift


def _conv(layer: nn.Module) -> nn.Module:
    return (layer[0] if isinstance(layer, nn.Sequential) else layer).conv


def _is_affine(layer: nn.Module) -> bool:
    """Whether a layer is a 1x1 convolution with a bias, and nothing else."""
    return (
        type(layer) is ConvModule
        and not layer.with_norm
        and _is_product(layer)
        and layer.conv.bias is not None
    )


def _is_product(layer: ConvModule) -> bool:
    """Whether a layer is a 1x1 convolution, perhaps with a norm after it."""
    return (
        is_plain_conv(layer.conv)
        and layer.order.index("conv") < layer.order.index("norm")
        and not layer.with_activation
        and not layer.with_explicit_padding
    )


def is_plain_conv(conv: nn.Module) -> bool:
    """Tell whether a convolution is a matrix product of the channels, nothing else."""
    dims = CONVS.get(type(conv))
    return (
        dims is not None
        and conv.kernel_size == conv.stride == (1,) * dims
        and conv.padding == (0,) * dims
        and conv.groups == 1
        # A kind of tensor of its own may do what it likes in a convolution.
        and type(conv.weight) in _TENSORS
        and type(conv).forward is _FORWARDS[type(conv)]
        and ConvModule.forward is _FORWARDS[ConvModule]
    )
