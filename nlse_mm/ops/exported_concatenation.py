"""Concatenation attention in graphs that are written to files, without the map.

Shapes: N batch, P queries, Q keys, E channels of values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .exported_map import may_be_linear, warn_of_map

# Channels of the values whose sums exist at a time, in double precision. With more,
# allocators take much more than they have: with 64, at 8,400 positions, up to 46 MiB in
# PyTorch and 50 in onnxruntime, in place of 36 and 31.
CHANNEL_CHUNK = 16


def exported_concatenation(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    """Attend by sorting, with operations that ``torch.export`` and ONNX both have.

    As :func:`nlse_mm.ops.concatenation_attention`, but ONNX has no ``searchsorted``:
    keys and thresholds are sorted together, and the keys before a threshold counted.
    Others than the two record the formula, and warn of its map.

    Takes and returns what :func:`nlse_mm.ops.concatenation_attention` does.
    """
    if not may_be_linear():
        warn_of_map("concatenation attention", value, a.shape[1])
        return formula(a, b, value)
    counts = _keys_above(-a, b)[..., None]  # (N, P, 1)
    keys, order = b.sort(dim=1, descending=True)  # (N, Q) each
    keys, order = keys[..., None].double(), order[..., None]  # (N, Q, 1) each
    means = []
    for values in value.split(CHANNEL_CHUNK, dim=2):  # (N, Q, chunk)
        terms = values.gather(1, order.expand_as(values)).double()  # (N, Q, chunk)
        total = _prefix_sums(terms, counts)  # (N, P, chunk)
        weighted = _prefix_sums(terms * keys, counts)  # (N, P, chunk)
        mean = (a[..., None].double() * total + weighted) / b.shape[1]
        means.append(mean.to(value.dtype))
    return torch.cat(means, dim=2)  # (N, P, E)


def formula(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    """Attend as the formula stands, with all P x Q weights."""
    weights = (a[:, :, None] + b[:, None, :]).relu()  # (N, P, Q)
    return weights @ value / b.shape[1]  # (N, P, E)


def _keys_above(thresholds: Tensor, keys: Tensor) -> Tensor:
    """Count the keys (N, Q) above each of the thresholds (N, P): (N, P).

    A key that is equal to a threshold may count or not: its weight is zero.
    """
    both = torch.cat([keys, thresholds], dim=1)  # (N, Q + P)
    order = both.sort(dim=1, descending=True)[1]  # (N, Q + P)
    counts = (order < keys.shape[1]).long().cumsum(dim=1)  # (N, Q + P)
    back = torch.zeros_like(order).scatter(1, order, counts)  # (N, Q + P)
    return back[:, keys.shape[1] :]  # (N, P)


def _prefix_sums(terms: Tensor, counts: Tensor) -> Tensor:
    """Sum the first terms (N, Q, E), as many as counts (N, P, 1) say: (N, P, E)."""
    sums = F.pad(terms.cumsum(dim=1), (0, 0, 1, 0))  # (N, Q + 1, E), zeros first
    return sums.gather(1, counts.expand(-1, -1, terms.shape[2]))  # (N, P, E)
