"""Squeeze and excitation. Letters: N images, C channels, D channels inside."""

from mmcv.cnn import ConvModule
from mmengine.model import constant_init
from torch import Tensor, nn

from nlse_mm.arguments import checked
from nlse_mm.ops.excitation import excitation, excite_add_relu
from nlse_mm.registry import MODELS


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
        zero_init: Start as the identity, for a trunk that was trained without
            excitation: the gate is :math:`2\sigma` and W_2 is zero, so that every
            gate is exactly 1. The paper's start near one half, which lowers the
            accuracy of such a trunk.

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
        if type(reduction) is not int or not 1 <= reduction <= in_channels:
            raise ValueError(
                f"reduction={reduction!r} is not an integer between 1 and "
                f"in_channels={in_channels}"
            )
        if type(divisor) is not int or divisor < 1:
            raise ValueError(f"divisor={divisor!r} is not an integer of at least 1")
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
        """``x`` of shape (N, C, H, W) to the same shape."""
        return x * self.excitation(x)[:, :, None, None]

    def excitation(self, x: Tensor) -> Tensor:
        """The gate of shape (N, C), which the excitation plots show."""
        return excitation(x, self._weights, self._top)

    def excite_add_relu(self, x: Tensor, identity: Tensor) -> Tensor:
        """``relu(self(x) + identity)``, the end of a residual block, in fewer passes.

        ``x`` may be overwritten; see :func:`nlse_mm.ops.excitation.excite_add_relu`.
        """
        return excite_add_relu(x, identity, self._weights, self._top)

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


def _nearest_multiple(value: int, divisor: int) -> int:
    multiple = max(divisor, (value + divisor // 2) // divisor * divisor)
    return multiple if multiple >= 0.9 * value else multiple + divisor
