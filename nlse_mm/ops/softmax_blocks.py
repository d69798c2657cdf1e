"""Softmax attention in blocks of queries, each with its weights to all keys.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from .derivatives import derivatives

# Queries of a block. Fewer would read the keys, and add to their gradients, too often
# for products at the speed of large ones; more would only cost memory.
QUERIES = 1024


@torch.library.custom_op("nlse_mm::softmax_attention", mutates_args=())
def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """(N, P, D), (N, Q, D), (N, Q, E) to (N, P, E); see ``softmax_attention``."""
    out = value.new_zeros(*query.shape[:2], value.shape[2])
    room = _Room(query, key)
    for n, rows in _blocks(query, key):
        weights = room.weights(query[n, rows] * scale, key[n])
        torch.mm(weights.to(value.dtype), value[n], out=out[n, rows])
    return out


def formula(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The same as it stands, with all P x Q weights."""
    return ((query * scale) @ key.transpose(1, 2)).softmax(dim=-1) @ value


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
    room = _Room(query, key)
    for n, rows in _blocks(query, key):
        asked = query[n, rows] * scale
        weights = room.weights(asked, key[n])
        _add_product(d_value[n], weights.T.to(value.dtype), grad[n, rows])
        slopes = room.products(grad[n, rows], value[n]).to(weights.dtype)
        mean = slopes.mul_(weights).sum(dim=1, keepdim=True)
        slopes = slopes.addcmul_(weights, mean, value=-1).to(query.dtype)
        d_query[n, rows] = (slopes @ key[n]).mul_(scale)
        _add_product(d_key[n], slopes.T, asked)
    return d_query, d_key.to(key.dtype), d_value.to(value.dtype)


@_attend_backward.register_fake
def _(grad, query, key, value, scale):
    return tuple(t.new_empty(t.shape) for t in (query, key, value))


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:3])
    ctx.scale = inputs[3]


def _backward(ctx, grad):
    if torch.is_grad_enabled():  # create_graph=True
        return *derivatives(formula, grad, *ctx.saved_tensors, ctx.scale), None
    return *_attend_backward(grad, *ctx.saved_tensors, ctx.scale), None


attend.register_autograd(_backward, setup_context=_save)


@register_flop_formula(torch.ops.nlse_mm.softmax_attention)
def _flops(query, key, value, scale, **_) -> int:
    """Those of the formula: products of queries and keys, of weights and values."""
    (n, p, d), (_, q, e) = query, value
    return 2 * n * p * q * (d + e)


@register_flop_formula(torch.ops.nlse_mm.softmax_attention_backward)
def _backward_flops(grad, query, key, value, scale, **_) -> int:
    """Those of the formula: two products for each of its own, none made again."""
    return 2 * _flops(query, key, value, scale)


def _blocks(query: Tensor, key: Tensor) -> Iterator[tuple[int, slice]]:
    """Image and slice of its queries, all of nearly one size."""
    count = query.shape[1]
    number = -(-count // QUERIES)
    for n in range(query.shape[0] if key.shape[1] > 0 else 0):
        for i in range(number):
            yield n, slice(i * count // number, (i + 1) * count // number)


class _Room:
    """Memory for a block's products and weights, used again for every block."""

    def __init__(self, query: Tensor, key: Tensor):
        count = query.shape[1]
        shape = -(-count // max(-(-count // QUERIES), 1)), key.shape[1]
        self._products = query.new_empty(shape)
        self._weights = query.new_empty(shape, dtype=_wide(query.dtype))

    def products(self, a: Tensor, b: Tensor) -> Tensor:
        """``a @ b.T``, in the place of the products before."""
        return torch.mm(a, b.T, out=self._products[: len(a)])

    def weights(self, asked: Tensor, key: Tensor) -> Tensor:
        """The softmax of the products, in the place of the weights before."""
        products = self.products(asked, key).to(self._weights.dtype)
        return torch.softmax(products, dim=1, out=self._weights[: len(asked)])


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
