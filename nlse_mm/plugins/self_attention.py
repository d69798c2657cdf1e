"""Multi-head self-attention with relative positions, as a plugin and as a convolution.

Shapes: N batch, C channels in, H x W or Q keys, U x V or P queries, h heads, D channels
of a head's queries and keys, E channels of values once the heads are mixed, which are
those of the output, B queries of a chunk.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.ops import relative
from nlse_mm.ops.layout import memory_format
from nlse_mm.ops.tracing import is_hooked, is_recording
from nlse_mm.registry import MODELS

from .from_conv import arguments_for, check_same_padding, copy_conv
from .plain_layers import is_plain_conv
from .relative_encoding import QuadraticEncoding, build_encoding
from .relative_scores import score_function

LEAST = dict(in_channels=1, out_channels=1, kernel_size=1, stride=1, dilation=1)


@MODELS.register_module()
@checked(at_least=dict(LEAST, num_heads=1, max_offset=0), itself=("encoding",))
class SelfAttention2d(nn.Module):
    r"""Average over the map around each head's own offset, and mix the heads.

    .. math:: y_q = b + \sum_h W_h \sum_k a^{(h)}_{qk} x_k, \quad
              a^{(h)}_{qk} = \mathrm{softmax}_k(
              s^{(h)}_{k - q} + [q^{(h)}_q \cdot k^{(h)}_k / \sqrt D])

    `On the Relationship between Self-Attention and Convolutional Layers
    <https://arxiv.org/abs/1911.03584>`_, equations 3, 4 and 9; the product of its
    W_val and W_out is one matrix W_h, as in its theorem. The bracket is there with
    ``content`` only.

    A head whose offset leads beyond the map's edge ends up at the edge. The output has
    a position for every ``stride``-th one of the input, the first included, which are
    the places of a convolution with SAME padding.

    The P x Q weights are never stored; blocks of them take turns, as the flash kernel
    takes no scores beside products. Without content, ``'quadratic'`` and ``'learned'``
    scores are a row's term plus a column's, so that two small products give the same:
    the time grows with P (H + W) instead of P * Q.

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
        encoding: The score of an offset, a name in ``relative_encoding.ENCODINGS``.
        content: Whether products of queries and keys are added to it.
        max_offset: Of ``'learned'``, see ``LearnedEncoding``.

    Raises:
        ConfigError: For an unknown encoding, heads that don't divide the channels where
            ``content`` splits them, or a convolution that it can't stand for.

    Example:
        >>> layer = SelfAttention2d(6)
        >>> x = torch.rand(1, 6, 5, 7)
        >>> torch.equal(layer(x), x), layer.attention(x).shape[-2:]
        (True, torch.Size([35, 35]))
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
        # A kernel's arguments, since the toolboxes build it where a convolution was.
        if num_heads is None:
            num_heads = 9 if kernel_size is None else kernel_size**2
        if num_heads < 1:
            raise ConfigError(f"num_heads={num_heads} is not an integer of at least 1")
        if content and in_channels % num_heads:
            raise ConfigError(
                f"num_heads={num_heads} does not divide in_channels={in_channels}, "
                "which content=True splits among the heads"
            )
        if out_channels is None and stride != 1:
            raise ConfigError(f"stride={stride} needs out_channels: a plugin adds to x")
        check_same_padding(kernel_size or 1, padding, dilation, groups)
        self.in_channels = in_channels
        self.residual = out_channels is None
        self.out_channels = in_channels if out_channels is None else out_channels
        self.stride = stride
        self.num_heads = num_heads
        self.content = content
        self.encoding = build_encoding(encoding, num_heads, max_offset)
        if content:
            self.query = nn.Conv2d(in_channels, in_channels, 1, bias=False)
            self.key = nn.Conv2d(in_channels, in_channels, 1, bias=False)
        # A layer, though forward often uses only its weight: hooks and loaders find it.
        self.value = nn.Conv2d(num_heads * in_channels, self.out_channels, 1, bias=bias)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the heads; the last layer is zero in a plugin, He et al.'s otherwise."""
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
        """Map ``x`` (N, C, H, W) to (N, E, U, V), a query each ``stride`` positions."""
        rows, columns = self._queries(x)
        must_call = is_recording(x) or is_hooked(self.value)
        must_call = must_call or not is_plain_conv(self.value)
        if self.encoding.is_separable and not self.content:
            by_row, by_column = [  # (h, U, H) and (h, V, W)
                self.encoding.axis(i, queries, x.shape[2 + i]).softmax(-1).to(x.dtype)
                for i, queries in enumerate((rows, columns))
            ]
            if must_call:
                out = relative.separable_means(x, by_row, by_column)  # (N, h C, U, V)
                out = self.value(out)  # (N, E, U, V)
            else:
                # A product has one dtype, and the rows' and columns' weights that of x.
                mixing = self.value.weight.to(x.dtype).flatten(1)  # (E, h C)
                mixing = mixing.unflatten(1, (self.num_heads, -1))  # (E, h, C)
                out = relative.separable_attention(x, by_row, by_column, mixing)
                if self.value.bias is not None:
                    out = out + self.value.bias[:, None, None]  # bias as (E, 1, 1)
        else:
            shape = rows.shape[0], columns.shape[0]
            queries = torch.arange(shape[0] * shape[1], device=x.device)  # (P,)
            scores = self._scorer(x, rows, columns)
            value = x.flatten(2).transpose(1, 2)  # (N, C, Q), then (N, Q, C)
            # Mixed chunk by chunk, so that the means of all heads never exist at once;
            # a layer that is called wants them, h C channels in place of E.
            mix = relative.concatenate_heads if must_call else self._mix_heads
            out = relative.attend_in_chunks(value, scores, mix, queries)  # (N, P, E)
            out = out.transpose(1, 2).unflatten(2, shape)  # (N, E, P), (N, E, U, V)
            out = self.value(out.contiguous()) if must_call else out  # (N, E, U, V)
        if self.residual:
            return x + out
        # A sum has the format of x by itself; a permuted product has none.
        return out if must_call else out.contiguous(memory_format=memory_format(x))

    def attention(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Compute the weights that queries give to all keys.

        Args:
            x: Input (N, C, H, W).
            positions: Flat indices of the queries; all P when None.

        Returns:
            Weights (N, h, len(positions), H * W), which sum to 1 over the last.
        """
        rows, columns = self._queries(x)
        if positions is None:
            count = rows.shape[0] * columns.shape[0]
            positions = torch.arange(count, device=x.device)  # (P,)
        weights = self._scorer(x, rows, columns)(positions).softmax(-1)
        return weights.expand(x.shape[0], -1, -1, -1)  # (N, h, len(positions), Q)

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, sharpness: float = 10.0) -> "SelfAttention2d":
        r"""Build the attention that is ``conv``: theorem 1 of the paper.

        One head for each place of the kernel, centred on its offset, with a bell so
        narrow that all the weight is there: the nearest other positions get
        :math:`e^{-s^2 / 2}` of it, :math:`2 \cdot 10^{-22}` for a sharpness s of 10.

        Equal to ``conv`` wherever its kernel stays inside the map. At the border a
        head ends up at the edge, which is what a convolution with
        ``padding_mode='replicate'`` does; the theorem's positions outside the map are
        those of its zero padding.

        Args:
            conv: A convolution without groups, with SAME padding.
            sharpness: s, the inverse of the bells' width in positions.

        Raises:
            ConfigError: For another convolution.

        Example:
            >>> conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate")
            >>> x = torch.rand(1, 3, 5, 7)
            >>> y = SelfAttention2d.from_conv(conv)(x)
            >>> torch.allclose(y, conv(x), rtol=0, atol=1e-5)
            True
        """
        layer = cls(**arguments_for(conv)).to(conv.weight)
        assert isinstance(layer.encoding, QuadraticEncoding)  # the default
        copy_conv(conv, layer.encoding, layer.value, sharpness)
        return layer

    def _queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """List the rows (U,) and the columns (V,) of the queries."""
        height, width = x.shape[2:]
        return (
            torch.arange(0, height, self.stride, device=x.device),
            torch.arange(0, width, self.stride, device=x.device),
        )

    def _scorer(
        self, x: Tensor, rows: Tensor, columns: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Make a function from indices of queries (B,) to scores (N or 1, h, B, Q)."""
        products = self._queries_and_keys(x) if self.content else None
        return score_function(x, self.encoding, rows, columns, products)

    def _queries_and_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the content's queries (N, h, D, P), scaled, and keys (N, h, D, Q)."""
        split = (self.num_heads, self.in_channels // self.num_heads)
        query = self.query(x[:, :, :: self.stride, :: self.stride])  # (N, C, U, V)
        # The queries, (N, h, D, P), are scaled: there are P Q products.
        query = query.flatten(2).unflatten(1, split) / math.sqrt(split[1])
        return query, self.key(x).flatten(2).unflatten(1, split)  # keys (N, h, D, Q)

    def _mix_heads(self, means: Tensor) -> Tensor:
        """Mix the heads' means (N, h, B, C) to outputs (N, B, E)."""
        weight = self.value.weight.flatten(1)  # (E, h C)
        means = relative.concatenate_heads(means)  # (N, B, h C)
        return nn.functional.linear(means, weight, self.value.bias)  # (N, B, E)
