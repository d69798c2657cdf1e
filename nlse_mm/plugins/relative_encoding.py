"""A head's score of a key, given where the key is relative to the query.

Shapes: h heads, B queries of a chunk, H x W keys, L keys along one axis. Offsets are in
positions of the map, the key's less the query's, and (row, column) in this order.
"""

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError

ENCODINGS = ("quadratic", "quadratic_full", "learned")


class QuadraticEncoding(nn.Module):
    r"""Score offsets by a bell around a learned offset for each head.

    .. math:: s_\delta = -\tfrac{1}{2} (\delta - \Delta)^\top \Sigma^{-1}
                          (\delta - \Delta)

    `On the Relationship between Self-Attention and Convolutional Layers
    <https://arxiv.org/abs/1911.03584>`_, equation 9, where :math:`\Sigma^{-1}` is
    :math:`2\alpha I`; the term without :math:`\delta` changes no softmax. Here
    :math:`\Sigma^{-1} = S S^\top` with S learned: a number for each head, or with
    ``full`` a matrix, as in the authors' code.

    Costs h B (H + W) numbers of memory as two axes, h B H W as scores.

    Args:
        num_heads: Heads h.
        full: Whether the bells may be stretched and turned.
        centre_std: Standard deviation of the offsets :math:`\Delta` at the start, in
            positions.

    Example:
        >>> encoding = QuadraticEncoding(1)
        >>> _ = torch.nn.init.zeros_(encoding.centre)
        >>> encoding.axis(0, torch.tensor([0]), 3)  # rows 0, 1, 2 of a query in row 0
        tensor([[[-0.0000, -0.5000, -2.0000]]], grad_fn=<MulBackward0>)
    """

    def __init__(self, num_heads: int, full: bool = False, centre_std: float = 2.0):
        super().__init__()
        self.full = full
        self.centre_std = centre_std
        shape = (num_heads, 2, 2) if full else (num_heads,)
        self.centre = nn.Parameter(torch.empty(num_heads, 2))  # (h, 2)
        # S, not its square: any S gives a bell, without a constraint on the optimiser.
        self.sharpness = nn.Parameter(torch.empty(shape))  # (h,) or (h, 2, 2)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the offsets, and make all bells 1 position wide."""
        # Random, since heads with one offset would all be the same mean.
        nn.init.normal_(self.centre, std=self.centre_std)
        with torch.no_grad():
            one = torch.eye(2) if self.full else torch.ones(())
            self.sharpness.copy_(one.expand_as(self.sharpness))  # (h,) or (h, 2, 2)

    @property
    def is_separable(self) -> bool:
        """Tell whether the score is a row's term plus a column's."""
        return not self.full

    def axis(self, which: int, queries: Tensor, size: int) -> Tensor:
        """Compute the row's (0) or column's (1) term of the score.

        Args:
            which: 0 for the rows, 1 for the columns.
            queries: The queries' rows or columns, (B,).
            size: L, the map's height or width.

        Returns:
            (h, B, L).
        """
        offset = (
            _offsets(queries, size) - self.centre[:, which, None, None]
        )  # (h, B, L)
        return (
            -0.5 * (self.sharpness[:, None, None] * offset).square()
        )  # S as (h, 1, 1)

    def scores(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
        """Compute the scores of all keys, for some queries.

        Args:
            rows: The queries' rows, (B,).
            columns: The queries' columns, (B,).
            size: (H, W) of the map.

        Returns:
            (h, B, H, W).
        """
        if self.is_separable:
            return _sum_of_axes(self, rows, columns, size)
        y = (_offsets(rows, size[0]) - self.centre[:, 0, None, None])[
            ..., None
        ]  # (h, B, H, 1)
        x = (_offsets(columns, size[1]) - self.centre[:, 1, None, None])[
            ..., None, :
        ]  # (h, B, 1, W)
        # Written out, as the vectors (y, x) of all pairs would be (h, B, H, W, 2).
        inverse = self.sharpness @ self.sharpness.transpose(1, 2)  # (h, 2, 2)
        a, b, c = (
            inverse[:, i, j, None, None, None]  # (h, 1, 1, 1)
            for i, j in ((0, 0), (0, 1), (1, 1))
        )
        return -0.5 * (a * y * y + 2 * b * y * x + c * x * x)  # (h, B, H, W)


class LearnedEncoding(nn.Module):
    r"""Score offsets by a learned number for each row offset and each column offset.

    .. math:: s_\delta = t^{row}_{\delta_1} + t^{column}_{\delta_2}

    ``Learned2DRelativeSelfAttention`` of the authors' code without content, whose
    tables hold vectors that one more product reduces to these numbers.

    Costs h B (H + W) numbers of memory as two axes, h B H W as scores.

    Args:
        num_heads: Heads h.
        max_offset: Offsets beyond it, either way, share the number of the last one.
        std: Standard deviation of the numbers at the start.
    """

    is_separable = True

    def __init__(self, num_heads: int, max_offset: int = 25, std: float = 1.0):
        super().__init__()
        self.max_offset = max_offset
        self.std = std
        shape = (2, num_heads, 2 * max_offset + 1)
        self.table = nn.Parameter(torch.empty(shape))  # (2 axes, h, offsets)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the numbers, so that heads differ."""
        nn.init.normal_(self.table, std=self.std)

    def axis(self, which: int, queries: Tensor, size: int) -> Tensor:
        """Compute the row's (0) or column's (1) term of the score, (h, B, L).

        The arguments are those of :meth:`QuadraticEncoding.axis`.
        """
        # Clamped, so that a map of any size can be used with the same table.
        offset = _offsets(queries, size).clamp(-self.max_offset, self.max_offset)
        return self.table[which][:, (offset + self.max_offset).long()]  # (h, B, L)

    def scores(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
        """Compute the scores of all keys for some queries, (h, B, H, W).

        The arguments are those of :meth:`QuadraticEncoding.scores`.
        """
        return _sum_of_axes(self, rows, columns, size)


def build_encoding(
    encoding: str, num_heads: int, max_offset: int
) -> QuadraticEncoding | LearnedEncoding:
    """Build the encoding of a name.

    Args:
        encoding: One of ``ENCODINGS``.
        num_heads: Heads h.
        max_offset: Of ``'learned'``, in positions.

    Raises:
        ConfigError: For another name.
    """
    if encoding not in ENCODINGS:
        raise ConfigError(f"encoding={encoding!r} is not one of {ENCODINGS}")
    if encoding == "learned":
        return LearnedEncoding(num_heads, max_offset)
    return QuadraticEncoding(num_heads, full=encoding == "quadratic_full")


def _offsets(queries: Tensor, size: int) -> Tensor:
    """Compute the offsets along one axis, (B, L)."""
    return torch.arange(size, device=queries.device) - queries[:, None]  # (B, L)


def _sum_of_axes(
    encoding: QuadraticEncoding | LearnedEncoding,
    rows: Tensor,
    columns: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Add the two axes' terms to scores, (h, B, H, W)."""
    y = encoding.axis(0, rows, size[0])[..., None]  # (h, B, H, 1)
    x = encoding.axis(1, columns, size[1])[..., None, :]  # (h, B, 1, W)
    return y + x  # (h, B, H, W)
