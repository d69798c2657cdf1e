"""Squeeze and excitation. Shapes: N batch, C channels, D channels inside."""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import constant_init
from torch import Tensor, nn

from nlse_mm.arguments import checked, fits
from nlse_mm.errors import ConfigError
from nlse_mm.ops.excitation import excitation, excite_add_relu
from nlse_mm.ops.precision import no_autocast
from nlse_mm.ops.tracing import is_hooked, is_recording
from nlse_mm.registry import MODELS

from .merged import is_plain_conv


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, divisor=1), itself=("reduction",))
class SELayer(nn.Module):
    r"""Scale each channel by a gate that depends on the means of all channels.

    .. math:: z_c = s_c x_c, \quad
              s = \sigma(W_2\,\mathrm{ReLU}(W_1 \bar x)), \quad
              \bar x_c = \tfrac{1}{HW} \textstyle\sum_i x_{ci}

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_, equations 2
    to 4. The paper's ablations have no biases; its published weights do.

    The parameters have the names they have in MMPretrain's and MMPose's ``SELayer``.

    Args:
        in_channels: Channels C of the input.
        reduction: D is C // reduction, rounded to a multiple of ``divisor``.
        divisor: D is a multiple of it, at least one, and at least 0.9 of C // reduction
            (64 channels are squeezed to 8). 1 gives the paper's C // reduction.
        bias: Whether both layers have biases.
        zero_init: Start as the identity, for a backbone that was trained without
            excitation: the gate is :math:`2\sigma` and W_2 is zero, so that every
            gate is exactly 1. The paper's start near one half, which lowers the
            accuracy of such a backbone.

    Raises:
        ValueError: For a ``reduction`` that is no integer, below 1 or above the
            channels, or a ``divisor`` that is no integer or below 1.

    Example:
        >>> import torch
        >>> layer = SELayer(64, zero_init=True)
        >>> x = torch.rand(2, 64, 5, 7)
        >>> torch.equal(layer(x), x), layer.excitation(x).shape
        (True, torch.Size([2, 64]))
    """

    _abbr_ = "se_layer"

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        divisor: int = 8,
        bias: bool = True,
        zero_init: bool = False,
    ):
        super().__init__()
        if not fits(reduction, int) or not 1 <= reduction <= in_channels:
            raise ConfigError(
                f"reduction={reduction!r} is not an integer between 1 and "
                f"in_channels={in_channels}"
            )
        self.in_channels = in_channels
        self.reduction = reduction
        self.zero_init = zero_init
        inside = _nearest_multiple(in_channels // reduction, divisor)
        self.conv1 = ConvModule(in_channels, inside, 1, bias=bias)
        self.conv2 = ConvModule(
            inside, in_channels, 1, bias=bias, act_cfg=dict(type="Sigmoid")
        )
        self.init_weights()

    def init_weights(self) -> None:
        """He et al.'s initialisation, and W_2 = 0 with ``zero_init``.

        MMEngine calls this before training, after the backbone's own initialisation.
        """
        self.conv1.init_weights()
        self.conv2.init_weights()
        if self.zero_init:
            constant_init(self.conv2.conv, 0)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` of shape (N, C, H, W) to the same shape and memory format."""
        return x * self._gate(x)

    def excitation(self, x: Tensor) -> Tensor:
        """The gate of shape (N, C), which the excitation plots show."""
        return self._gate(x).flatten(1)

    def excite_add_relu(self, x: Tensor, identity: Tensor) -> Tensor:
        """``relu(self(x) + identity)``, the end of a residual block, in fewer passes.

        ``x`` may be overwritten; see :func:`nlse_mm.ops.excitation.excite_add_relu`.
        """
        if self._is_called(x):
            return (self(x) + identity).relu()
        return excite_add_relu(x, identity, self._weights, self._top)

    def _gate(self, x: Tensor) -> Tensor:
        """The gate as (N, C, 1, 1)."""
        if not self._is_called(x):
            return excitation(x, self._weights, self._top)[:, :, None, None]
        gate = self._call(x)
        return gate if self._top == 1 else self._top * gate

    def _call(self, x: Tensor) -> Tensor:
        if is_recording(x):
            return self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1)))
        # As where they aren't called, autocast is left: sums overflow half precision.
        dtype = next((p.dtype for p in self.parameters()), x.dtype)
        with no_autocast(x):
            squeezed = x.mean((2, 3), keepdim=True, dtype=dtype)  # (N, C, 1, 1)
            return self.conv2(self.conv1(squeezed)).to(x.dtype)

    def _is_called(self, x: Tensor) -> bool:
        """Whether somebody would notice if ``conv1`` and ``conv2`` weren't called."""
        return (
            is_recording(x)
            or is_hooked(self.conv1, self.conv2)
            or not _is_layer(self.conv1, nn.ReLU)
            or not _is_layer(self.conv2, nn.Sigmoid)
        )

    @property
    def _top(self) -> float:
        return 2.0 if self.zero_init else 1.0

    @property
    def _weights(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        first, second = self.conv1.conv, self.conv2.conv
        return (
            first.weight.flatten(1),
            first.bias,
            second.weight.flatten(1),
            second.bias,
        )


def _is_layer(layer: nn.Module, activation: type[nn.Module]) -> bool:
    """Whether it is a 1x1 convolution with this activation, and nothing else."""
    return (
        type(layer) is ConvModule
        and is_plain_conv(layer.conv)
        and not layer.with_norm
        and not layer.with_explicit_padding
        and layer.with_activation
        and type(layer.activate) is activation
    )


def _nearest_multiple(value: int, divisor: int) -> int:
    multiple = max(divisor, (value + divisor // 2) // divisor * divisor)
    return multiple if multiple >= 0.9 * value else multiple + divisor
