"""Softmax attention without the map of weights.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .exported_softmax import exported_softmax
from .older_torch import flash_takes, multiplies_wide, only_flash
from .precision import common_dtype
from .softmax_blocks import attend, formula
from .softmax_way import Way, softmax_way
from .tracing import is_recording, needs_formula


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, scale: float
) -> Tensor:
    r"""Average the values, weighted by the softmax of the scaled products.

    .. math:: y_i = \sum_j \mathrm{softmax}_j(s\, q_i^\top k_j)\, v_j

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equations 2 and 3,
    with the scale of `Attention Is All You Need <https://arxiv.org/abs/1706.03762>`_.
    Exact. The scale multiplies the queries, or sums in single precision, so that half
    precision doesn't overflow.

    Which way, by rule: in graphs written to files :func:`exported_softmax`'s; under
    ``torch.func`` the formula as it stands; else :func:`softmax_way`'s: on a GPU in 16
    bits, PyTorch's flash kernel where it takes them, otherwise blocks of weights.

    Costs P Q (D + E) multiplications an image. The weights exist a block at a time and
    are computed again for the gradients, so memory grows with P + Q, not with P * Q. A
    second derivative is the formula's, and takes its memory.

    Args:
        query: (N, P, D), any strides; ``x.flatten(2).transpose(1, 2)`` isn't copied.
        key: (N, Q, D). Where it is the very tensor ``query``, gradients cost a product
            less.
        value: (N, Q, E).
        scale: Multiplies the products.

    Returns:
        (N, P, E), zeros where Q is 0.

    Example:
        >>> query, value = torch.zeros(1, 1, 2), torch.tensor([[[1.0], [4.0]]])
        >>> softmax_attention(query, torch.rand(1, 2, 2), value, 1.0)  # equal weights
        tensor([[[2.5000]]])
    """
    dtype = common_dtype(query, key, value)
    given = query, key
    query, key, value = [t.to(dtype) for t in (query, key, value)]
    if is_recording():
        return exported_softmax(query, key, value, scale)
    if needs_formula():
        return formula(query, key, value, scale)
    sizes = *query.shape[:2], key.shape[1], query.shape[2], value.shape[2]
    if softmax_way(query.device.type, dtype, *sizes) is Way.FLASH:
        # Contiguous, as the kernel refuses channels that don't lie side by side. One
        # head: (N, 1, P or Q, D or E).
        q, k, v = (t.contiguous().unsqueeze(1) for t in (query, key, value))
        if flash_takes(q, k, v):
            return _flash(q, k, v, scale)
    is_both = given[0] is given[1]  # not earlier: Dynamo of PyTorch 2.1 can't compare
    if dtype == torch.float16 and not multiplies_wide(query):
        # The products may be too large for 16 bits; the flash kernel keeps them in 32.
        query, key, value = [t.float() for t in (query, key, value)]
    return attend(query, None if is_both else key, value, scale).to(dtype)


def _flash(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Run the flash kernel on one head: (N, 1, P, D) to (N, P, D)."""
    with only_flash():
        out = F.scaled_dot_product_attention(query, key, value, scale=scale)
    return out.squeeze(1)  # (N, P, D)
