"""Which layers compute only what their weights say, so that those can be used alone.

Shapes: N batch, C channels, ``*`` spatial dimensions.
"""

from typing import TypeAlias, TypeGuard

from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.nn.modules.conv import _ConvNd

from nlse_mm.ops.tracing import is_hooked, is_recording

from .pooling import MaxPool1d, PoolFirst

# A convolution, or where a block sub-samples that and its pooling.
Layer: TypeAlias = ConvModule | nn.Sequential

CONVS: dict[type[_ConvNd], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
POOLS = (MaxPool1d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
# A fake tensor, with which a model's cost is counted, computes as a plain one does.
_TENSORS = (nn.Parameter, Tensor, FakeTensor)
# What the classes do, unless it is replaced later, to count the calls for example.
_FORWARDS = {cls: cls.forward for cls in (*CONVS, ConvModule)}


def can_merge(x: Tensor, *layers: Layer) -> bool:
    """Tell whether the layers' weights may be used without calling the layers.

    Each layer must be a 1x1 convolution with a bias, or that and a max-pooling, which
    is then one for all; none may be hooked, and the model not recorded.

    Args:
        x: The layers' input, (N, C, *).
        layers: The layers.
    """
    if is_recording(x) or is_hooked(*layers):
        return False
    pooled = [layer for layer in layers if not _is_affine(layer)]
    # By type(), not isinstance(): a subclass may compute anything.
    return all(
        type(layer) is type(pooled[0])
        and type(layer) in (nn.Sequential, PoolFirst)
        and len(layer) == 2
        and _is_affine(layer[0])
        and layer[1] is pooled[0][1]
        and type(layer[1]) in POOLS
        for layer in pooled
    )


def _is_affine(layer: nn.Module) -> bool:
    """Tell whether a layer is a 1x1 convolution with a bias, and nothing else."""
    return (
        type(layer) is ConvModule
        and not layer.with_norm
        and is_product(layer)
        and layer.conv.bias is not None
    )


def is_product(layer: ConvModule) -> TypeGuard[ConvModule]:
    """Tell whether a layer is a 1x1 convolution, perhaps with a norm after it."""
    # A guard, as type() tells mypy nothing of MMCV's class, which has no types.
    return (
        is_plain_conv(layer.conv)
        and layer.order.index("conv") < layer.order.index("norm")
        and not layer.with_activation
        and not layer.with_explicit_padding
    )


def is_plain_conv(conv: _ConvNd) -> bool:
    """Tell whether a convolution is a matrix product of the channels, nothing else.

    Example:
        >>> is_plain_conv(nn.Conv2d(4, 2, 1)), is_plain_conv(nn.Conv2d(4, 2, 3))
        (True, False)
    """
    dims = CONVS.get(type(conv))
    return (
        dims is not None
        and conv.kernel_size == conv.stride == (1,) * dims
        and conv.padding == (0,) * dims
        and conv.groups == 1
        # A tensor class of the user's own may do what it likes in a convolution.
        and type(conv.weight) in _TENSORS
        and type(conv).forward is _FORWARDS[type(conv)]
        and ConvModule.forward is _FORWARDS[ConvModule]
    )
