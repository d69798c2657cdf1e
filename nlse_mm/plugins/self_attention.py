"""Multi-head self-attention with relative positions, as a plugin and as a convolution.

Shapes: N batch, h heads, C channels in, E channels out, D channels of queries and
keys of a head, P keys, Q queries.
"""

import math

import torch
from torch import Tensor, nn

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.ops.layout import memory_format
from nlse_mm.ops.relative import attend_in_blocks, separable_attention, separable_means
from nlse_mm.ops.tracing import is_observed, is_recording
from nlse_mm.registry import MODELS

from .merged import is_plain_conv
from .relative_encoding import LearnedEncoding, QuadraticEncoding

ENCODINGS = ("quadratic", "quadratic_full", "learned")

LEAST = dict(in_channels=1, out_channels=1, kernel_size=1, stride=1, dilation=1)


@MODELS.register_module()
@checked(at_least=dict(LEAST, num_heads=1, max_offset=0), itself=("encoding",))
class SelfAttention2d(nn.Module):
    r"""Each head is a mean over the map around its own offset; a 1x1 layer mixes them.

    .. math:: y_q = b + \sum_h W_h \sum_k a^{(h)}_{qk} x_k, \quad
              a^{(h)}_{qk} = \mathrm{softmax}_k(
              s^{(h)}_{k - q} + [q^{(h)}_q \cdot k^{(h)}_k / \sqrt D])

    `On the Relationship between Self-Attention and Convolutional Layers
    <https://arxiv.org/abs/1911.03584>`_, equations 3, 4 and 9; the product of its
    W_val and W_out is one matrix W_h, as in its theorem. The bracket is there with
    ``content`` only.

    A head that aims beyond the map's edge ends up at the edge. The output has a
    position for every ``stride``-th one of the input, the first included, which are the
    places of a convolution with SAME padding.

    The P x Q weights are never stored. Without content, ``'quadratic'`` and
    ``'learned'`` scores are a row's term plus a column's, so that two small products
    give the same: the time grows with P (H + W) instead of P * P.

    As a plugin (``out_channels=None``) it adds its output to its input, and starts as
    the identity. As a convolution, ``dcn=dict(type='nlse_mm.SelfAttention2d')`` puts it
    in place of the 3x3 convolutions of the stages in ``stage_with_dcn``.

    Args:
        in_channels: Channels C of the input.
        out_channels: Channels E of the output; None for a plugin.
        kernel_size: Of the convolution whose place it takes: ``num_heads`` is then its
            square unless given.
        stride: Positions from one query to the next, both ways.
        padding: Taken for a convolution's sake; only SAME padding has a meaning.
        dilation: Likewise.
        groups: Likewise, 1.
        bias: Whether the last layer has one.
        num_heads: Heads h; 9 by default.
        encoding: The score of an offset, one of ``ENCODINGS``.
        content: Whether products of queries and keys are added to it.
        max_offset: Of ``'learned'``, see ``LearnedEncoding``.

    Raises:
        ValueError: For an unknown encoding, heads that don't divide the channels where
            ``content`` splits them, or a convolution that it can't stand for.
    """

    _abbr_ = "self_attention"

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        kernel_size: int | None = None,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        num_heads: int | None = None,
        encoding: str = "quadratic",
        content: bool = False,
        max_offset: int = 25,
    ):
        super().__init__()
        if num_heads is None:
            num_heads = 9 if kernel_size is None else kernel_size**2
        if encoding not in ENCODINGS:
            raise ConfigError(f"encoding={encoding!r} is not one of {ENCODINGS}")
        if num_heads < 1:
            raise ConfigError(f"num_heads={num_heads} is not an integer of at least 1")
        if content and in_channels % num_heads:
            raise ConfigError(
                f"num_heads={num_heads} does not divide in_channels={in_channels}, "
                "which content=True splits among the heads"
            )
        if out_channels is None and stride != 1:
            raise ConfigError(f"stride={stride} needs out_channels: a plugin adds to x")
        _check_same_padding(kernel_size or 1, padding, dilation, groups)
        self.in_channels = in_channels
        self.residual = out_channels is None
        self.out_channels = in_channels if self.residual else out_channels
        self.stride = stride
        self.num_heads = num_heads
        self.content = content
        if encoding == "learned":
            self.encoding = LearnedEncoding(num_heads, max_offset)
        else:
            self.encoding = QuadraticEncoding(num_heads, encoding == "quadratic_full")
        if content:
            self.query = nn.Conv2d(in_channels, in_channels, 1, bias=False)
            self.key = nn.Conv2d(in_channels, in_channels, 1, bias=False)
        self.value = nn.Conv2d(num_heads * in_channels, self.out_channels, 1, bias=bias)
        self.init_weights()

    def init_weights(self) -> None:
        """Random heads; the last layer is zero in a plugin."""
        self.encoding.init_weights()
        for layer in (self.query, self.key) if self.content else ():
            nn.init.xavier_uniform_(layer.weight)
        if self.residual:
            nn.init.zeros_(self.value.weight)
        else:
            nn.init.kaiming_normal_(self.value.weight, nonlinearity="relu")
        if self.value.bias is not None:
            nn.init.zeros_(self.value.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) to (N, E, U, V): a position for every ``stride`` ones."""
        rows, columns = self._queries(x)
        called = is_recording(x) or is_observed(self.value)
        called = called or not is_plain_conv(self.value)
        if self.encoding.is_separable and not self.content:
            weights = (
                self.encoding.axis(i, queries, x.shape[2 + i]).softmax(-1).to(x.dtype)
                for i, queries in enumerate((rows, columns))
            )
            if called:
                out = self.value(separable_means(x, *weights))
            else:
                mixing = self.value.weight.flatten(1).unflatten(1, (self.num_heads, -1))
                out = separable_attention(x, *weights, mixing.to(x.dtype))
                if self.value.bias is not None:
                    out = out + self.value.bias[:, None, None]
        else:
            shape = rows.shape[0], columns.shape[0]
            at = torch.arange(shape[0] * shape[1], device=x.device)
            scores = self._scorer(x, rows, columns)
            value = x.flatten(2).transpose(1, 2)
            mix = _beside if called else self._mix
            out = attend_in_blocks(value, scores, mix, at).transpose(1, 2)
            out = out.unflatten(2, shape)
            out = self.value(out.contiguous()) if called else out
        if self.residual:
            return x + out
        return out if called else out.contiguous(memory_format=memory_format(x))

    def attention(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """The weights with which the asked positions look at all others.

        Args:
            x: Input (N, C, H, W).
            positions: Flat indices into the output's positions; all when None.

        Returns:
            Weights (N, h, len(positions), H * W), which sum to 1 over the last.
        """
        rows, columns = self._queries(x)
        if positions is None:
            count = rows.shape[0] * columns.shape[0]
            positions = torch.arange(count, device=x.device)
        weights = self._scorer(x, rows, columns)(positions).softmax(-1)
        return weights.expand(x.shape[0], -1, -1, -1)

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, sharpness: float = 10.0) -> "SelfAttention2d":
        r"""The attention that is ``conv``: theorem 1 of the paper.

        One head for each place of the kernel, centred on its offset, with a bell so
        narrow that all the weight is there: the nearest other positions get
        :math:`e^{-s^2 / 2}` of it, :math:`2 \cdot 10^{-22}` for a sharpness s of 10.

        Equal to ``conv`` wherever its kernel stays inside the map. At the border a
        head ends up at the edge, which is what a convolution with
        ``padding_mode='replicate'`` does; the theorem's positions outside the map are
        those of its zero padding.

        Raises:
            ValueError: For a convolution with groups, or without SAME padding.
        """
        pairs = [conv.kernel_size, conv.stride, conv.dilation]
        if conv.padding != "same":
            pairs.append(conv.padding)
        if any(height != width for height, width in pairs):
            raise ConfigError(f"{conv} is not the same in height and in width")
        (size, _), (stride, _), (dilation, _), *padding = pairs
        padding = padding[0][0] if padding else None
        _check_same_padding(size, padding, dilation, conv.groups)
        layer = cls(
            conv.in_channels,
            conv.out_channels,
            size,
            stride,
            bias=conv.bias is not None,
        ).to(conv.weight)
        place = dilation * (torch.arange(size) - (size - 1) / 2)
        with torch.no_grad():
            layer.encoding.centre.copy_(torch.cartesian_prod(place, place))
            layer.encoding.sharpness.fill_(sharpness)
            # (E, C, K, K) to (E, K K C): heads in the order of the kernel's places.
            weight = conv.weight.permute(0, 2, 3, 1).flatten(1)
            layer.value.weight.copy_(weight[:, :, None, None])
            if conv.bias is not None:
                layer.value.bias.copy_(conv.bias)
        return layer

    def _queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (U,) and columns (V,) of the queries."""
        height, width = x.shape[2:]
        return (
            torch.arange(0, height, self.stride, device=x.device),
            torch.arange(0, width, self.stride, device=x.device),
        )

    def _scorer(self, x: Tensor, rows: Tensor, columns: Tensor):
        """A function from flat indices of queries (B,) to scores (N or 1, h, B, P)."""
        size = tuple(x.shape[2:])
        if self.content:
            split = (self.num_heads, self.in_channels // self.num_heads)
            asked = self.query(x[:, :, :: self.stride, :: self.stride])
            query = asked.flatten(2).unflatten(1, split) / math.sqrt(split[1])
            key = self.key(x).flatten(2).unflatten(1, split)  # (N, h, D, P)

        def scores(at: Tensor) -> Tensor:
            width = columns.shape[0]
            row = at // width
            # Not at % width: the ONNX exporter wants that width to be a number.
            places = rows[row], columns[at - row * width]
            relative = self.encoding.scores(*places, size).flatten(2)[None]
            if not self.content:
                return relative.to(x.dtype)
            return relative + query[..., at].transpose(2, 3) @ key

        return scores

    def _mix(self, means: Tensor) -> Tensor:
        """Means (N, h, B, C) to outputs (N, B, E)."""
        weight = self.value.weight.flatten(1)
        return nn.functional.linear(_beside(means), weight, self.value.bias)


def _beside(means: Tensor) -> Tensor:
    """Means (N, h, B, C) to (N, B, h * C)."""
    return means.transpose(1, 2).flatten(2)


def _check_same_padding(
    kernel_size: int, padding: int | None, dilation: int, groups: int
) -> None:
    same = dilation * (kernel_size - 1) / 2
    if padding is not None and padding != same:
        raise ConfigError(
            f"padding={padding} is not SAME padding, which for kernel_size="
            f"{kernel_size} and dilation={dilation} is {same:g}"
        )
    if groups != 1:
        raise ConfigError(f"groups={groups} is not 1: each head reads all channels")
