"""The scores of self-attention, a chunk of queries at a time.

Shapes: N batch, C channels, H x W or Q keys, U x V or P queries, h heads, D channels of
a head's queries and keys, B queries of a chunk.
"""

from collections.abc import Callable

from torch import Tensor

from .relative_encoding import LearnedEncoding, QuadraticEncoding


def score_function(
    x: Tensor,
    encoding: QuadraticEncoding | LearnedEncoding,
    rows: Tensor,
    columns: Tensor,
    content: tuple[Tensor, Tensor] | None = None,
) -> Callable[[Tensor], Tensor]:
    r"""Make a function from indices of queries to their scores.

    .. math:: s^{(h)}_{qk} = s^{(h)}_{k - q} + q^{(h)}_q \cdot k^{(h)}_k

    Each call costs N h B Q numbers of memory, h B Q without content.

    Args:
        x: The map, (N, C, H, W); only its size and its dtype are read.
        encoding: The score of an offset.
        rows: Rows of the queries, (U,).
        columns: Columns of the queries, (V,).
        content: Queries (N, h, D, P), scaled, and keys (N, h, D, Q), whose products are
            added.

    Returns:
        A function from flat indices (B,) to scores (N or 1, h, B, Q).
    """
    height, width = x.shape[2:]

    def scores(queries: Tensor) -> Tensor:
        count = columns.shape[0]
        row = queries // count
        # Not queries % count: the ONNX exporter wants that count to be a number.
        places = rows[row], columns[queries - row * count]  # (B,) each
        relative = encoding.scores(*places, (height, width))  # (h, B, H, W)
        relative = relative.flatten(2)[None]  # (1, h, B, Q)
        if content is None:
            # Parameters may be wider than a map in half precision.
            return relative.to(x.dtype)
        query, key = content
        query = query[..., queries].transpose(2, 3)  # (N, h, B, D)
        return relative + query @ key  # (N, h, B, Q)

    return scores
