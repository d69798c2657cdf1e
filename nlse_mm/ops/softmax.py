"""Softmax attention without the map of weights.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .precision import common_dtype
from .softmax_chunks import attend, formula
from .tracing import needs_formula


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, scale: float
) -> Tensor:
    r"""Average the values, weighted by the softmax of the scaled products.

    .. math:: y_i = \sum_j \mathrm{softmax}_j(s\, q_i^\top k_j)\, v_j

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equations 2 and 3,
    with the scale of `Attention Is All You Need <https://arxiv.org/abs/1706.03762>`_.
    Exact. The scale multiplies the queries, not the products, so that half precision
    doesn't overflow.

    Which way, by rule: in graphs written to files and under ``torch.func``, the formula
    as it stands; on a GPU in 32 bits or fewer, PyTorch's fused kernels; else chunks of
    queries.

    Costs P Q (D + E) multiplications an image. The weights exist a chunk at a time and
    are computed again for the gradients, so memory grows with P + Q, not with P * Q. A
    second derivative is the formula's, and takes its memory.

    Args:
        query: (N, P, D), any strides; ``x.flatten(2).transpose(1, 2)`` isn't copied.
        key: (N, Q, D).
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
    query, key, value = (t.to(dtype) for t in (query, key, value))
    if needs_formula():
        return formula(query, key, value, scale)
    # The fused kernels have no double precision, and refuse tensors without numbers.
    if query.is_cuda and dtype != torch.float64 and min(query.shape + key.shape) > 0:
        return _fused(query, key, value, scale)
    if dtype == torch.float16:
        # The products may be too large for 16 bits; the fused kernels keep them in 32.
        wide = (t.float() for t in (query, key, value))
        return attend(*wide, scale).to(dtype)
    return attend(query, key, value, scale)


def _fused(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Run PyTorch's kernels for GPUs, but for the one that would store the weights.

    Flash attention takes up to 256 channels, D equal to E, in 16 bits; the
    memory-efficient kernel takes the rest.
    """
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    # Contiguous, as both kernels refuse channels that don't lie side by side.
    query, key, value = (
        t.contiguous().unsqueeze(1)  # (N, 1, P or Q, D or E): one head
        for t in (query, key, value)
    )
    with sdpa_kernel(kernels):
        out = F.scaled_dot_product_attention(query, key, value, scale=scale)
    return out.squeeze(1)  # (N, P, E)
