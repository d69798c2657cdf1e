"""Squeeze and excitation, for maps and volumes.

Shapes: N batch, C channels, T frames, H height, W width, ``*`` H and W, or T, H and W,
P positions in all; M channels between the two layers.
"""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import constant_init
from torch import Tensor, nn

from nlse_mm.arguments import checked, fits
from nlse_mm.errors import ConfigError
from nlse_mm.ops.excitation import excite_add_relu
from nlse_mm.ops.gate import Excitation, excitation
from nlse_mm.ops.precision import no_autocast
from nlse_mm.ops.tracing import is_hooked, is_recording
from nlse_mm.registry import MODELS

from .plain_layers import is_plain_conv


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, divisor=1), itself=("reduction",))
class SELayer(nn.Module):
    r"""Scale each channel by a gate that depends on the means of all channels.

    .. math:: z_c = s_c x_c, \quad
              s = \sigma(W_2\,\mathrm{ReLU}(W_1 \bar x)), \quad
              \bar x_c = \tfrac{1}{P} \textstyle\sum_i x_{ci}

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_, equations 2
    to 4. The paper's ablations have no biases; its published weights do. Rounding to
    ``divisor``, ``zero_init``, and volumes, of which all T H W positions are squeezed
    to one mean, are not in the paper.

    The parameters have the names they have in MMPretrain's and MMPose's ``SELayer``.

    Costs N C P additions, as many multiplications, and 2 N C M more; 2 C M
    parameters, and C + M with biases.

    Args:
        in_channels: Channels C of the input.
        reduction: M is C // reduction, rounded to a multiple of ``divisor``.
        divisor: M is a multiple of it, at least one, and at least 0.9 of C // reduction
            (64 channels are squeezed to 8). 1 gives the paper's C // reduction.
        bias: Whether both layers have biases.
        zero_init: Start as the identity, for a backbone that was trained without
            excitation: the gate is :math:`2\sigma` and W_2 is zero, so that every
            gate is exactly 1. The paper's start near one half, which lowers the
            accuracy of such a backbone.

    Raises:
        ConfigError: For a ``reduction`` that is no integer, below 1 or above the
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
        """Initialise as He et al. do, with W_2 = 0 for ``zero_init``.

        MMEngine calls this before training, after the backbone's own initialisation.
        """
        self.conv1.init_weights()
        self.conv2.init_weights()
        if self.zero_init:
            constant_init(self.conv2.conv, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` (N, C, H, W) or (N, C, T, H, W), in its own memory format."""
        if _is_volume(x):
            return x * self._gate(x.flatten(3))[..., None]  # (N, C, T, H, W)
        return x * self._gate(x)  # (N, C, H, W)

    def excitation(self, x: Tensor) -> Tensor:
        """Compute the gate (N, C) of ``x`` (N, C, *), for the excitation plots."""
        x = x.flatten(3) if _is_volume(x) else x
        return self._gate(x).flatten(1)  # (N, C)

    def excite_add_relu(self, x: Tensor, identity: Tensor) -> Tensor:
        """Compute ``relu(self(x) + identity)``, the end of a residual block.

        In fewer passes over memory: see
        :func:`nlse_mm.ops.excitation.excite_add_relu`.

        Args:
            x: The branch's output, (N, C, *), which may be overwritten.
            identity: The shortcut's output, (N, C, *).

        Returns:
            The block's output, (N, C, *).
        """
        if _is_volume(x):
            maps = x.flatten(3), identity.flatten(3)  # (N, C, T, H W)
            return self.excite_add_relu(*maps).unflatten(3, x.shape[3:])
        if self._must_call_layers(x):
            return (self(x) + identity).relu()  # (N, C, H, W)
        return excite_add_relu(x, identity, self._weights, self._gate_scale)

    def _gate(self, x: Tensor) -> Tensor:
        """Compute the gate of ``x`` (N, C, H, W) as (N, C, 1, 1)."""
        if not self._must_call_layers(x):
            gate = excitation(x, self._weights, self._gate_scale)  # (N, C)
            return gate[:, :, None, None]  # (N, C, 1, 1)
        gate = self._call_layers(x)  # (N, C, 1, 1)
        # Unscaled for the paper's gate, so that a recorded graph has no product by 1.
        return gate if self._gate_scale == 1 else self._gate_scale * gate

    def _call_layers(self, x: Tensor) -> Tensor:
        """Compute the sigmoid (N, C, 1, 1) by calling ``conv1`` and ``conv2``."""
        if is_recording(x):
            return self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1)))  # (N, C, 1, 1)
        # As where they aren't called, autocast is left: sums overflow half precision.
        dtype = next((p.dtype for p in self.parameters()), x.dtype)
        with no_autocast(x):
            squeezed = x.mean((2, 3), keepdim=True, dtype=dtype)  # (N, C, 1, 1)
            return self.conv2(self.conv1(squeezed)).to(x.dtype)  # (N, C, 1, 1)

    def _must_call_layers(self, x: Tensor) -> bool:
        """Tell whether ``conv1`` and ``conv2`` are recorded, hooked or replaced."""
        return (
            is_recording(x)
            or is_hooked(self.conv1, self.conv2)
            or not _is_layer(self.conv1, nn.ReLU)
            or not _is_layer(self.conv2, nn.Sigmoid)
        )

    @property
    def _gate_scale(self) -> float:
        # 2 makes the gate of W_2 = 0, half of it, exactly 1.
        return 2.0 if self.zero_init else 1.0

    @property
    def _weights(self) -> Excitation:
        # Convolutions' weights, (M, C, 1, 1) and (C, M, 1, 1), as the published ones.
        first, second = self.conv1.conv, self.conv2.conv
        return (
            first.weight.flatten(1),  # (M, C)
            first.bias,
            second.weight.flatten(1),  # (C, M)
            second.bias,
        )


def _is_volume(x: Tensor) -> bool:
    """Tell whether it is (N, C, T, H, W): H and W in one dimension make it a map."""
    # torch.fx's stand-in for a tensor doesn't say: it records the layer for maps.
    return isinstance(x, Tensor) and x.dim() == 5


def _is_layer(layer: ConvModule, activation: type[nn.Module]) -> bool:
    """Tell whether it is a 1x1 convolution with this activation, and nothing else."""
    return (
        type(layer) is ConvModule
        and is_plain_conv(layer.conv)
        and not layer.with_norm
        and not layer.with_explicit_padding
        and layer.with_activation
        and type(layer.activate) is activation
    )


def _nearest_multiple(value: int, divisor: int) -> int:
    """Round to a multiple of ``divisor``, as MMPretrain's ``make_divisible`` does."""
    multiple = max(divisor, (value + divisor // 2) // divisor * divisor)
    # Down by a tenth at most: fewer channels would squeeze more than was asked for.
    return multiple if multiple >= 0.9 * value else multiple + divisor
