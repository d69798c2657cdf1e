"""Softmax attention in chunks of queries, each with its weights to all keys.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from .context import Context
from .derivatives import derivatives
from .older_torch import flop_formula, operation

# Queries of a chunk. Fewer would read the keys, and add to their gradients, too often
# for products at the speed of large ones; more would only cost memory.
QUERY_CHUNK = 1024


@operation("softmax_attention")
def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend, a chunk of queries at a time; see ``softmax_attention``.

    A row's weights are normalised whole, not in a running softmax over tiles of keys,
    so that values and gradients come from the very same weights. Costs P Q (D + E)
    multiplications an image, and 2 ``QUERY_CHUNK`` Q numbers of memory.

    Args:
        query: (N, P, D).
        key: (N, Q, D).
        value: (N, Q, E).
        scale: Multiplies the products.

    Returns:
        (N, P, E), zeros where Q is 0.
    """
    # Zeros, since without keys there is no chunk that writes.
    out = value.new_zeros(*query.shape[:2], value.shape[2])  # (N, P, E)
    workspace = _Workspace(query, key)
    for n, chunk in _chunks(query, key):
        weights = workspace.weights(query[n, chunk] * scale, key[n])  # (chunk, Q)
        torch.mm(weights.to(value.dtype), value[n], out=out[n, chunk])  # (chunk, E)
    return out


def formula(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend as the formula stands, with all P x Q weights: N P Q numbers of memory.

    Takes and returns what :func:`attend` does.
    """
    weights = ((query * scale) @ key.transpose(1, 2)).softmax(dim=-1)  # (N, P, Q)
    return weights @ value  # (N, P, E)


@attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    return value.new_empty(*query.shape[:2], value.shape[2])  # (N, P, E)


@operation("softmax_attention_backward")
def _attend_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of query, key and value, and the weights a second time.

    With weights p and their gradient g, that of the scaled products is p (g - sum p g).
    """
    d_query = query.new_zeros(query.shape)  # (N, P, D)
    d_key, d_value = _sums_like(key), _sums_like(value)  # (N, Q, D), (N, Q, E)
    workspace = _Workspace(query, key)
    for n, chunk in _chunks(query, key):
        scaled = query[n, chunk] * scale  # (chunk, D)
        weights = workspace.weights(scaled, key[n])  # (chunk, Q)
        _add_product(d_value[n], weights.T.to(value.dtype), grad[n, chunk])  # (Q, E)
        # The products of queries and keys have become weights: their place is free.
        # In the dtype of the weights, since g - sum p g cancels.
        slopes = workspace.products(grad[n, chunk], value[n]).to(weights.dtype)
        mean = slopes.mul_(weights).sum(dim=1, keepdim=True)  # (chunk, 1)
        slopes = slopes.addcmul_(weights, mean, value=-1).to(query.dtype)  # (chunk, Q)
        d_query[n, chunk] = (slopes @ key[n]).mul_(scale)  # (chunk, D)
        # The scaled queries: what stood in the product, so no scale comes after it.
        _add_product(d_key[n], slopes.T, scaled)  # (Q, D)
    return d_query, d_key.to(key.dtype), d_value.to(value.dtype)


@_attend_backward.register_fake
def _(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> tuple[Tensor, ...]:
    return tuple(t.new_empty(t.shape) for t in (query, key, value))


class _Context(Context, Protocol):
    scale: float


def _save(
    ctx: _Context, inputs: tuple[Tensor, Tensor, Tensor, float], output: Tensor
) -> None:
    # No weights and no output: the backward pass has them from the inputs.
    ctx.save_for_backward(*inputs[:3])
    ctx.scale = inputs[3]


def _backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():  # create_graph=True
        return *derivatives(formula, grad, *ctx.saved_tensors, ctx.scale), None
    return *_attend_backward(grad, *ctx.saved_tensors, ctx.scale), None


attend.register_autograd(_backward, setup_context=_save)


@flop_formula("softmax_attention")
def _flops(
    query: torch.Size,
    key: torch.Size,
    value: torch.Size,
    scale: float,
    **_others: object,
) -> int:
    """Count the formula's: products of queries and keys, of weights and values."""
    (n, p, d), (_, q, e) = query, value
    return 2 * n * p * q * (d + e)


@flop_formula("softmax_attention_backward")
def _backward_flops(
    grad: torch.Size,
    query: torch.Size,
    key: torch.Size,
    value: torch.Size,
    scale: float,
    **_others: object,
) -> int:
    """Count the formula's: two products for each of its own, none computed again."""
    return 2 * _flops(query, key, value, scale)


def _chunks(query: Tensor, key: Tensor) -> Iterator[tuple[int, slice]]:
    """Iterate over images and slices of their queries."""
    count = query.shape[1]
    number = -(-count // QUERY_CHUNK)
    # Of nearly one size: for a rest of a few queries all keys would be read once more.
    for n in range(query.shape[0] if key.shape[1] > 0 else 0):
        for i in range(number):
            yield n, slice(i * count // number, (i + 1) * count // number)


class _Workspace:
    """Hold the memory of a chunk's products and weights, used again for every chunk."""

    def __init__(self, query: Tensor, key: Tensor):
        count = query.shape[1]
        # The largest chunk: the queries, split into as few as QUERY_CHUNK allows.
        shape = -(-count // max(-(-count // QUERY_CHUNK), 1)), key.shape[1]
        self._products = query.new_empty(shape)  # (chunk, Q)
        # Not in half precision, in which sums of Q exponentials round coarsely.
        self._weights = query.new_empty(shape, dtype=_wide(query.dtype))  # (chunk, Q)

    def products(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute ``a @ b.T``, (chunk, Q), in the place of the products before."""
        return torch.mm(a, b.T, out=self._products[: len(a)])  # (chunk, Q)

    def weights(self, scaled: Tensor, key: Tensor) -> Tensor:
        """Compute the softmax of the products, in the place of the weights before."""
        products = self.products(scaled, key).to(self._weights.dtype)  # (chunk, Q)
        return torch.softmax(products, dim=1, out=self._weights[: len(scaled)])


def _sums_like(like: Tensor) -> Tensor:
    """Make zeros to add to, in a dtype in which not each addition rounds coarsely."""
    return like.new_zeros(like.shape, dtype=_wide(like.dtype))


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add ``a @ b`` to ``total``, in place."""
    # addmm_ wants one dtype, and where it has one needs no memory for the product.
    if total.dtype == a.dtype:
        total.addmm_(a, b)  # (Q, D) or (Q, E)
    else:
        total.add_(a @ b)  # (Q, D) or (Q, E)


def _wide(dtype: torch.dtype) -> torch.dtype:
    """Find what exponentials and sums are computed in: single precision at least."""
    return torch.promote_types(dtype, torch.float32)
