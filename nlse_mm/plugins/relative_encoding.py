"""How much a head looks at a position, given where it is relative to the query.

Shapes: h heads, B queries, H x W keys. Offsets are in positions of the
map, looked at less asking, and (row, column) in this order.
"""

import torch
from torch import Tensor, nn


class QuadraticEncoding(nn.Module):
    r"""A bell around a learned offset for each head.

    .. math:: s_\delta = -\tfrac{1}{2} (\delta - \Delta)^\top \Sigma^{-1}
                          (\delta - \Delta)

    `On the Relationship between Self-Attention and Convolutional Layers
    <https://arxiv.org/abs/1911.03584>`_, equation 9, where :math:`\Sigma^{-1}` is
    :math:`2\alpha I`; the term without :math:`\delta` changes no softmax. Here
    :math:`\Sigma^{-1} = S S^\top` with S learned: a number for each head, or with
    ``full`` a matrix, as in the authors' code.

    Args:
        num_heads: Heads h.
        full: Whether the bells may be stretched and turned.
        centre_std: Standard deviation of the offsets :math:`\Delta` at the start.
    """

    def __init__(self, num_heads: int, full: bool = False, centre_std: float = 2.0):
        super().__init__()
        self.full = full
        self.centre_std = centre_std
        shape = (num_heads, 2, 2) if full else (num_heads,)
        self.centre = nn.Parameter(torch.empty(num_heads, 2))
        self.sharpness = nn.Parameter(torch.empty(shape))
        self.init_weights()

    def init_weights(self) -> None:
        """Random offsets, and bells of width 1."""
        nn.init.normal_(self.centre, std=self.centre_std)
        with torch.no_grad():
            one = torch.eye(2) if self.full else torch.ones(())
            self.sharpness.copy_(one.expand_as(self.sharpness))

    @property
    def is_separable(self) -> bool:
        """Whether the score is a row's term and a column's."""
        return not self.full

    def axis(self, which: int, queries: Tensor, size: int) -> Tensor:
        """The row's (0) or column's (1) term of the score: (h, B, size)."""
        offset = _offsets(queries, size) - self.centre[:, which, None, None]
        return -0.5 * (self.sharpness[:, None, None] * offset).square()

    def scores(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores (h, B, H, W) of queries at ``rows`` (B,) and ``columns`` (B,)."""
        if self.is_separable:
            return _sum_of_axes(self, rows, columns, size)
        y = (_offsets(rows, size[0]) - self.centre[:, 0, None, None])[..., None]
        x = (_offsets(columns, size[1]) - self.centre[:, 1, None, None])[..., None, :]
        inverse = self.sharpness @ self.sharpness.transpose(1, 2)  # (h, 2, 2)
        a, b, c = (
            inverse[:, i, j, None, None, None] for i, j in ((0, 0), (0, 1), (1, 1))
        )
        return -0.5 * (a * y * y + 2 * b * y * x + c * x * x)


class LearnedEncoding(nn.Module):
    """A learned number for each row offset, and one for each column offset.

    ``Learned2DRelativeSelfAttention`` of the authors' code without content, whose
    tables hold vectors that one more product reduces to these numbers.

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
        self.table = nn.Parameter(torch.empty(2, num_heads, 2 * max_offset + 1))
        self.init_weights()

    def init_weights(self) -> None:
        """Random numbers, so that heads differ."""
        nn.init.normal_(self.table, std=self.std)

    def axis(self, which: int, queries: Tensor, size: int) -> Tensor:
        """The row's (0) or column's (1) term of the score: (h, B, size)."""
        offset = _offsets(queries, size).clamp(-self.max_offset, self.max_offset)
        return self.table[which][:, (offset + self.max_offset).long()]

    def scores(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores (h, B, H, W) of queries at ``rows`` (B,) and ``columns`` (B,)."""
        return _sum_of_axes(self, rows, columns, size)


def _offsets(queries: Tensor, size: int) -> Tensor:
    """(B, size) offsets along one axis."""
    return torch.arange(size, device=queries.device) - queries[:, None]


def _sum_of_axes(
    encoding: QuadraticEncoding | LearnedEncoding,
    rows: Tensor,
    columns: Tensor,
    size: tuple[int, int],
) -> Tensor:
    y = encoding.axis(0, rows, size[0])[..., None]
    x = encoding.axis(1, columns, size[1])[..., None, :]
    return y + x
