"""Softmax attention in blocks of queries, each with its weights to all keys.

Letters: N images, P positions that ask, Q positions looked at, D channels of queries
and keys, E channels of values.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 2 * 2**20  # weights at a time, 8 MiB in single precision


@torch.library.custom_op("nlse_mm::softmax_attention", mutates_args=())
def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """(N, P, D), (N, Q, D), (N, Q, E) to (N, P, E); see ``softmax_attention``."""
    out = value.new_zeros(*query.shape[:2], value.shape[2])
    for n, rows, block in _blocks(query, key):
        weights = _weights(query[n, rows] * scale, key[n], block)
        torch.mm(weights.to(value.dtype), value[n], out=out[n, rows])
    return out


@attend.register_fake
def _(query, key, value, scale):
    return value.new_empty(*query.shape[:2], value.shape[2])


@torch.library.custom_op("nlse_mm::softmax_attention_backward", mutates_args=())
def _attend_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value; the weights are computed a second time.

    With weights p and their gradient g, that of the scaled products is p (g - sum p g).
    """
    d_query = query.new_zeros(query.shape)
    d_key, d_value = _sums_like(key), _sums_like(value)
    for n, rows, block in _blocks(query, key):
        asked = query[n, rows] * scale
        weights = _weights(asked, key[n], block)
        _add_product(d_value[n], weights.T.to(value.dtype), grad[n, rows])
        slope = torch.mm(grad[n, rows], value[n].T, out=block).to(weights.dtype)
        mean = slope.mul_(weights).sum(dim=1, keepdim=True)
        slope = slope.addcmul_(weights, mean, value=-1).to(query.dtype)
        d_query[n, rows] = (slope @ key[n]).mul_(scale)
        _add_product(d_key[n], slope.T, asked)
    return d_query, d_key.to(key.dtype), d_value.to(value.dtype)


@_attend_backward.register_fake
def _(grad, query, key, value, scale):
    return tuple(t.new_empty(t.shape) for t in (query, key, value))


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:3])
    ctx.scale = inputs[3]


def _backward(ctx, grad):
    return *_attend_backward(grad, *ctx.saved_tensors, ctx.scale), None


attend.register_autograd(_backward, setup_context=_save)


def _blocks(query: Tensor, key: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
    """Image, slice of its queries, and room for their products with all keys."""
    count = query.shape[1]
    rows = min(max(BLOCK // max(key.shape[1], 1), 16), count)
    room = query.new_empty(rows, key.shape[1])
    if room.numel() > 0:
        for n in range(query.shape[0]):
            for start in range(0, count, rows):
                stop = min(start + rows, count)
                yield n, slice(start, stop), room[: stop - start]


def _weights(asked: Tensor, key: Tensor, room: Tensor) -> Tensor:
    products = torch.mm(asked, key.T, out=room)
    return products.softmax(dim=1, dtype=_wide(asked.dtype))


def _sums_like(like: Tensor) -> Tensor:
    """Zeros to add to: in half precision each addition would round."""
    return like.new_zeros(like.shape, dtype=_wide(like.dtype))


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add ``a @ b`` to ``total``, in place."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total.add_(a @ b)


def _wide(dtype: torch.dtype) -> torch.dtype:
    """What exponentials and sums are computed in: single precision at least."""
    return torch.promote_types(dtype, torch.float32)
