"""A convolution as self-attention: theorem 1 of the paper.

`On the Relationship between Self-Attention and Convolutional Layers
<https://arxiv.org/abs/1911.03584>`_.

Shapes: C channels in, E channels out, k x k places of the kernel, h = k * k heads.
"""

from typing import Any

import torch
from torch import nn

from nlse_mm.errors import ConfigError

from .relative_encoding import QuadraticEncoding


def check_same_padding(
    kernel_size: int, padding: int | None, dilation: int, groups: int
) -> None:
    """Raise ConfigError unless attention can stand for such a convolution.

    Args:
        kernel_size: k.
        padding: In positions; None where nothing is said of it.
        dilation: Positions from one place of the kernel to the next.
        groups: Only 1 is possible.

    Raises:
        ConfigError: For padding that isn't SAME padding, or several groups.
    """
    # As many queries as keys: attention has no positions beside the map's.
    same = dilation * (kernel_size - 1) / 2
    if padding is not None and padding != same:
        raise ConfigError(
            f"padding={padding} is not SAME padding, which for kernel_size="
            f"{kernel_size} and dilation={dilation} is {same:g}"
        )
    if groups != 1:
        raise ConfigError(f"groups={groups} is not 1: each head reads all channels")


def arguments_for(conv: nn.Conv2d) -> dict[str, Any]:
    """Find the arguments of the ``SelfAttention2d`` that can be ``conv``.

    Raises:
        ConfigError: For a convolution with groups, without SAME padding, or not the
            same in height and width.

    Example:
        >>> arguments_for(nn.Conv2d(3, 4, 3, padding=1))["kernel_size"]
        3
    """
    pairs = [conv.kernel_size, conv.stride, conv.dilation]
    # PyTorch keeps a word in place of a pair, and "same" is what is checked for.
    if conv.padding == "valid":
        pairs.append((0, 0))
    elif not isinstance(conv.padding, str):
        pairs.append(conv.padding)
    if any(height != width for height, width in pairs):
        raise ConfigError(f"{conv} is not the same in height and in width")
    (size, _), (stride, _), (dilation, _), *padding = pairs
    check_same_padding(size, padding[0][0] if padding else None, dilation, conv.groups)
    # Neither padding nor dilation: the heads' offsets say all of it.
    return dict(
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        kernel_size=size,
        stride=stride,
        bias=conv.bias is not None,
    )


def copy_conv(
    conv: nn.Conv2d, encoding: QuadraticEncoding, value: nn.Conv2d, sharpness: float
) -> None:
    """Copy a convolution into the heads and the last layer of attention, in place.

    Args:
        conv: Of weight (E, C, k, k).
        encoding: The heads' bells, which get the offsets of the kernel's places.
        value: The last layer, of weight (E, h C, 1, 1).
        sharpness: The inverse of the bells' width in positions.
    """
    size, dilation = conv.kernel_size[0], conv.dilation[0]
    place = dilation * (torch.arange(size) - (size - 1) / 2)  # (k,)
    # Parameters are copied into, not replaced: an optimiser may hold them.
    with torch.no_grad():
        encoding.centre.copy_(torch.cartesian_prod(place, place))  # (h, 2)
        encoding.sharpness.fill_(sharpness)
        # Heads in the order of the kernel's places, as cartesian_prod lists them.
        weight = conv.weight.permute(0, 2, 3, 1).flatten(1)  # (E, k, k, C), (E, h C)
        value.weight.copy_(weight[:, :, None, None])  # (E, h C, 1, 1)
        if conv.bias is not None:
            assert value.bias is not None  # built with the convolution's arguments
            value.bias.copy_(conv.bias)
