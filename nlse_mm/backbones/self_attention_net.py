"""Build a backbone of relative self-attention, without spatial convolutions."""

import math
from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_conv_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import MODELS


@MODELS.register_module()
@checked(at_least=dict(inside=0))
class SelfAttentionNet(BaseModule):
    """Run self-attention and a perceptron, six times, after 2 x 2 down-sampling.

    The network of `On the Relationship between Self-Attention and Convolutional Layers
    <https://arxiv.org/abs/1911.03584>`_, section 4.1: 6 layers of 9 heads, 400
    channels. Down-sampling takes the pixels of each square as channels, so nothing is
    lost, and a 1x1 layer brings them to the width of the next layer. The layers are
    BERT's, as in the authors' code: a norm follows each addition.

    The paper's classifies 32 x 32 images and down-samples once. For the pyramids that
    detectors want, ``strides`` may down-sample before any layer.

    Args:
        channels: Width of each layer, or one width for all.
        strides: Down-sampling before each layer; their number is the number of layers.
        inside: Width of the perceptrons' hidden layers, as a multiple of the layer's.
            512 for 400 channels in the authors' code.
        out_indices: Layers whose outputs are returned.
        attention: Arguments of ``nlse_mm.SelfAttention2d``, such as
            ``dict(encoding='learned')``.
        init_cfg: As of any MMEngine module.

    Raises:
        ConfigError: If the numbers of channels and strides differ, or a layer in
            ``out_indices`` doesn't exist.
    """

    def __init__(
        self,
        channels: int | Sequence[int] = 400,
        strides: Sequence[int] = (2, 1, 1, 1, 1, 1),
        inside: float = 1.28,
        out_indices: Sequence[int] = (5,),
        attention: dict[str, Any] | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        count = len(strides)
        widths = channels if isinstance(channels, Sequence) else [channels] * count
        for key, values in dict(channels=widths, strides=strides).items():
            if not count or min(values, default=1) < 1:
                raise ConfigError(f"{key}={values} are not integers of at least 1")
        if len(widths) != count:
            raise ConfigError(f"channels={channels} has not the length of {strides=}")
        for index in out_indices:
            if not 0 <= index < count:
                raise ConfigError(
                    f"out_indices={tuple(out_indices)} holds {index}; the layers are "
                    f"0 to {count - 1}"
                )
        self.out_indices = tuple(out_indices)
        self.stride = math.prod(strides)
        attention = dict(num_heads=9) | (attention or {})
        self.downsamples, self.layers = nn.ModuleList(), nn.ModuleList()
        before = 3
        for width, stride in zip(widths, strides, strict=True):
            self.downsamples.append(_downsample(before, width, stride))
            self.layers.append(
                SelfAttentionBlock(width, round(inside * width), attention)
            )
            before = width

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Turn images (N, 3, H, W) into maps (N, width, H / stride, W / stride)."""
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise ConfigError(
                f"images of {x.shape[2]} x {x.shape[3]} can't be down-sampled by "
                f"{self.stride}: set data_preprocessor.pad_size_divisor={self.stride}"
            )
        outputs = []
        for index, layer in enumerate(self.layers):
            x = layer(self.downsamples[index](x))  # (N, width, H / stride, W / stride)
            if index in self.out_indices:
                outputs.append(x)
        return tuple(outputs)


class SelfAttentionBlock(BaseModule):
    """Compute ``norm(x + attention(x))``, then ``norm(x + perceptron(x))``.

    Args:
        channels: Channels of the map (N, C, H, W), which keeps its shape.
        inside: Hidden channels of the perceptron.
        attention: Arguments of ``nlse_mm.SelfAttention2d``.
    """

    own_names = ("attention",)  # the backbone's own, no plugin in it

    def __init__(self, channels: int, inside: int, attention: dict[str, Any]):
        super().__init__()
        self.attention = build_conv_layer(
            dict(type="nlse_mm.SelfAttention2d"), channels, channels, **attention
        )
        self.norm1 = nn.LayerNorm(channels)
        self.perceptron = nn.Sequential(
            nn.Linear(channels, inside), nn.GELU(), nn.Linear(inside, channels)
        )
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, H, W) into the same shape."""
        # LayerNorm and Linear take the channels last.
        x = self.norm1((x + self.attention(x)).permute(0, 2, 3, 1))  # (N, H, W, C)
        return self.norm2(x + self.perceptron(x)).permute(0, 3, 1, 2)  # (N, C, H, W)


def _downsample(channels: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(
        nn.PixelUnshuffle(stride),  # (N, C * stride**2, H / stride, W / stride)
        nn.Conv2d(channels * stride**2, width, 1),
    )
