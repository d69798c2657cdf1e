"""Softmax attention in graphs that are written to files, without the map of weights.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values, B queries of a block, T blocks.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .exported_map import may_be_linear, warn_of_map
from .older_torch import onnx_scan
from .softmax_blocks import formula
from .tracing import Recorder, recorder

# Queries of a block in ONNX. In onnxruntime 256 took as long, and more memory.
QUERY_BLOCK = 128


def exported_softmax(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend by operations that whatever records can write, in one graph for all sizes.

    ``torch.export`` keeps ``scaled_dot_product_attention``, of whose kernels one is
    chosen where the graph runs. To ONNX goes a ``Scan`` over blocks of queries, since
    onnxruntime stores the map for an ``Attention``, too. Others record the formula,
    and warn of its map.

    Takes and returns what :func:`nlse_mm.ops.softmax_attention` does.
    """
    if may_be_linear():
        if recorder() is Recorder.EXPORT:
            return _by_kernel(query, key, value, scale)
        scan = onnx_scan()
        if scan is not None:
            return _in_blocks(scan, query, key, value, scale)
    warn_of_map("softmax attention", value, query.shape[1])
    return formula(query, key, value, scale)


def _by_kernel(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    # The kernels without the map want as many channels of values as of keys, those of a
    # GPU in multiples of 8. Zeros change no product, and give zeros, which are cut off.
    width = (max(query.shape[2], value.shape[2]) + 7) // 8 * 8
    q, k, v = (_as_head(t, width) for t in (query, key, value))  # (N, 1, P or Q, width)
    out = F.scaled_dot_product_attention(q, k, v, scale=scale)  # (N, 1, P, width)
    return out[:, 0, :, : value.shape[2]]  # (N, P, E)


def _as_head(x: Tensor, width: int) -> Tensor:
    """Copy ``x`` (N, P or Q, D or E) to one head of ``width`` channels."""
    if x.shape[2] < width:
        x = F.pad(x, (0, width - x.shape[2]))  # (N, P or Q, width), contiguous
    else:
        # Not contiguous(), which records nothing where the example is contiguous: of a
        # map in another format the kernels would be refused, without a word.
        x = x.clone(memory_format=torch.contiguous_format)
    return x[:, None]  # (N, 1, P or Q, width)


def _in_blocks(
    scan: Callable[..., Any], query: Tensor, key: Tensor, value: Tensor, scale: float
) -> Tensor:
    # A file of ONNX has no gradients, and PyTorch 2.13 fails to prepare a scan's there.
    query, key, value = query.detach(), key.detach(), value.detach()
    n, p, d = query.shape
    count = (p + QUERY_BLOCK - 1) // QUERY_BLOCK  # T
    # The last block is filled up with queries of zeros, whose means are cut off.
    query = F.pad(query * scale, (0, 0, 0, count * QUERY_BLOCK - p))  # (N, T B, D)
    rows = query.reshape(n, count, QUERY_BLOCK, d).transpose(0, 1)  # (T, N, B, D)
    columns = key.transpose(1, 2)  # (N, D, Q)

    def attend(carry: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
        # A scan carries something, and may not return what it was given.
        return carry.clone(), (block @ columns).softmax(dim=-1) @ value  # (N, B, E)

    _, means = scan(attend, query.new_zeros(()), rows)  # (T, N, B, E)
    return means.transpose(0, 1).flatten(1, 2)[:, :p]  # (N, T B, E), then (N, P, E)
