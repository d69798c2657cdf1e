"""Dot-product attention in the cheaper order.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values.
"""

import torch
from torch import Tensor

from .older_torch import is_compiling
from .precision import common_dtype
from .tracing import is_recording


def dot_product_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    r"""Average the values, weighted by the products of queries and keys.

    .. math:: y_i = \frac{1}{Q} \sum_j (q_i^\top k_j)\, v_j
                  = \frac{1}{Q}\, q_i^\top \sum_j k_j v_j^\top

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equation 4 with
    C(x) = Q. Exact; the paper takes the first order, with its P Q weights. Here the
    order is the one that costs less, or where one graph serves several sizes, always
    the second.

    The second costs (P + Q) D E multiplications and D * E numbers of memory an image,
    whatever the sizes; the first P Q (D + E) and P * Q numbers, and is taken only where
    that is less, so memory never grows with P * Q; and never in float16, where the
    products of queries and keys, sums over D that no softmax tames, overflow before
    anything else.

    Args:
        query: (N, P, D).
        key: (N, Q, D).
        value: (N, Q, E).

    Returns:
        (N, P, E), zeros where Q is 0.

    Example:
        >>> query, key = torch.tensor([[[2.0]]]), torch.tensor([[[1.0], [3.0]]])
        >>> dot_product_attention(query, key, key)  # 2 * (1 * 1 + 3 * 3) / 2
        tensor([[[10.]]])
    """
    dtype = common_dtype(query, key, value)
    query, key, value = [t.to(dtype) for t in (query, key, value)]
    # Divided first: a sum over positions overflows half precision, their mean doesn't.
    # A graph's sizes are open, and max() would compare one.
    value = value / (key.shape[1] if is_recording() else max(key.shape[1], 1))
    if dtype != torch.float16 and _weights_cost_less(query, value):
        return (query @ key.transpose(1, 2)) @ value  # (N, P, Q), then (N, P, E)
    return query @ (key.transpose(1, 2) @ value)  # (N, D, E), then (N, P, E)


def _weights_cost_less(query: Tensor, value: Tensor) -> bool:
    """Compare the two orders, unless the sizes of a graph are open."""
    if is_recording():
        return False
    (_, p, d), (_, q, e) = query.shape, value.shape
    less = p * q * (d + e) < (p + q) * d * e
    if is_compiling():
        # Imported here: it imports SymPy, which only a compilation needs.
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return statically_known_true(less)  # a plain comparison would fix the order
    return less
