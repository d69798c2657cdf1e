"""Softmax attention in blocks of weights: some images, or some queries of one image.

Shapes: N batch, P queries, Q keys, D channels of queries and keys, E channels of
values, M images and B queries of a block.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from .blocks import block_size, blocks
from .derivatives import derivatives
from .older_torch import flop_formula, multiplies_wide, operation, wide_product
from .precision import wide

# From so many channels on, a product costs more than adding a map to its transposed.
MANY_CHANNELS = 192


@operation("softmax_attention")
def attend(query: Tensor, key: Tensor | None, value: Tensor, scale: float) -> Tensor:
    """Attend, a block of weights at a time; see ``softmax_attention``.

    A row's weights are normalised whole, not in a running softmax over tiles of keys,
    so that values and gradients come from the very same weights. Costs P Q (D + E)
    multiplications an image, and the numbers of a block in memory, at most twice
    :func:`most_weights`, or Q where these are more; twice that for the gradients, and
    half as much again in 16 bits.

    Args:
        query: (N, P, D).
        key: (N, Q, D), or None where the queries themselves are the keys: their scaled
            products are symmetric, and so their gradient takes one product, not two.
        value: (N, Q, E).
        scale: Multiplies the products.

    Returns:
        (N, P, E), zeros where Q is 0.
    """
    key = query if key is None else key
    shape = *query.shape[:2], value.shape[2]
    if not _has_weights(query, key):
        return value.new_zeros(shape)
    out = value.new_empty(shape)  # (N, P, E)
    workspace = _Workspace(query, key)
    for n, p in workspace.blocks:
        weights = workspace.weights(query[n, p], key[n], scale)  # (M, B, Q)
        _multiply(out[n, p], weights.to(value.dtype), value[n])  # (M, B, E)
    return out


def formula(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend as the formula stands, with all P x Q weights: N P Q numbers of memory.

    Takes and returns what :func:`attend` does, but always takes keys.
    """
    weights = ((query * scale) @ key.transpose(1, 2)).softmax(dim=-1)  # (N, P, Q)
    return weights @ value  # (N, P, E)


@attend.register_fake
def _(query: Tensor, key: Tensor | None, value: Tensor, scale: float) -> Tensor:
    return value.new_empty(*query.shape[:2], value.shape[2])  # (N, P, E)


@operation("softmax_attention_backward")
def _attend_backward(
    grad: Tensor, query: Tensor, key: Tensor | None, value: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of query, key and value, and the weights a second time.

    With weights p and their gradient g, that of the scaled products is p (g - sum p g).
    Without keys the queries' is that of both, and the keys' has no elements.
    """
    is_both, key = key is None, query if key is None else key
    none = query.new_empty(0)
    if not _has_weights(query, key):
        d_query, d_key, d_value = map(torch.zeros_like, (query, key, value))
        return d_query, none if is_both else d_key, d_value
    workspace = _Workspace(query, key)
    split = workspace.is_split
    at_once = is_both and not split and query.shape[2] >= MANY_CHANNELS
    # In the strides of the queries, since autograd adds them to others of such strides.
    d_query = _sums_like(query, split and is_both)  # (N, P, D)
    d_key = d_query if is_both else _sums_like(key, split)  # (N, Q, D)
    d_value = _sums_like(value, split)  # (N, Q, E)
    for n, p in workspace.blocks:
        q, g = query[n, p], grad[n, p]  # (M, B, D), (M, B, E)
        weights = workspace.weights(q, key[n], scale)  # (M, B, Q)
        wanted = weights.transpose(1, 2).to(value.dtype)  # (M, Q, B)
        _multiply(d_value[n], wanted, g, add=split)  # (M, Q, E)
        slopes = workspace.slopes(g, value[n], weights, at_once)  # (M, B, Q)
        _multiply(d_query[n, p], slopes, key[n], scale, is_both and split)  # (M, B, D)
        if not at_once:
            slopes = slopes.transpose(1, 2)  # (M, Q, B)
            _multiply(d_key[n], slopes, q, scale, is_both or split)  # (M, Q, D)
    d_query, d_key, d_value = (t.to(key.dtype) for t in (d_query, d_key, d_value))
    return d_query, none if is_both else d_key, d_value


@_attend_backward.register_fake
def _(
    grad: Tensor, query: Tensor, key: Tensor | None, value: Tensor, scale: float
) -> tuple[Tensor, ...]:
    none = query.new_empty(0) if key is None else key
    return tuple(map(torch.empty_like, (query, none, value)))


class _Context(Protocol):
    saved_tensors: tuple[Tensor, Tensor | None, Tensor]
    scale: float

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


def _save(
    ctx: _Context, inputs: tuple[Tensor, Tensor | None, Tensor, float], output: Tensor
) -> None:
    # No weights and no output: the backward pass has them from the inputs.
    ctx.save_for_backward(*inputs[:3])
    ctx.scale = inputs[3]


def _backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
    query, key, value = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True
        keys = query if key is None else key
        inputs = query, keys, value, ctx.scale
        d_query, d_key, d_value = derivatives(formula, grad, *inputs)
        d_query = d_query + d_key if key is None else d_query
    else:
        d_query, d_key, d_value = _attend_backward(grad, query, key, value, ctx.scale)
    return d_query, None if key is None else d_key, d_value, None


attend.register_autograd(_backward, setup_context=_save)


@flop_formula("softmax_attention")
def _flops(
    query: torch.Size,
    key: torch.Size | None,
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
    key: torch.Size | None,
    value: torch.Size,
    scale: float,
    **_others: object,
) -> int:
    """Count the formula's: two products for each of its own, none computed again."""
    return 2 * _flops(query, key, value, scale)


def _has_weights(query: Tensor, key: Tensor) -> bool:
    return query.shape[:2].numel() * key.shape[1] > 0


class _Workspace:
    """Hold the memory of a block's weights and slopes, used again for every block."""

    def __init__(self, query: Tensor, key: Tensor):
        sizes = *query.shape[:2], key.shape[1], query.device.type
        self.blocks = blocks(*sizes)
        self.is_split = block_size(*sizes)[1] < query.shape[1]
        self._size = math.prod(block_size(*sizes)) * key.shape[1]
        self._like = query
        # Not in half precision, in which sums of Q exponentials round coarsely.
        self._wide = wide(query.dtype)
        is_direct = multiplies_wide(query)
        self._products = self._wide if is_direct else query.dtype
        self._buffers: dict[str, Tensor] = {}

    def weights(self, query: Tensor, key: Tensor, scale: float) -> Tensor:
        """Compute the softmax of the scaled products (M, B, Q) of a block."""
        is_wide = self._products == self._wide
        # In place where one dtype will do, as in PyTorch's own multi-head attention.
        name = "weights" if is_wide else "products"
        products = self._place(name, query, key, self._products)
        _multiply(products, query, key.transpose(1, 2), scale)  # (M, B, Q)
        weights = self._place("weights", query, key, self._wide)
        return torch.softmax(products, dim=2, dtype=self._wide, out=weights)

    def slopes(
        self, grad: Tensor, value: Tensor, weights: Tensor, add_transposed: bool
    ) -> Tensor:
        """Compute the gradient of the scaled products from that of the means.

        With ``add_transposed`` the sum of it and its transposed, which overwrites the
        weights.
        """
        slopes = self._place("products", grad, value, self._products)
        _multiply(slopes, grad, value.transpose(1, 2))  # (M, B, Q)
        # In the dtype of the weights, since g - sum p g cancels.
        slopes = slopes.to(weights.dtype)
        torch.ops.aten._softmax_backward_data.out(
            slopes, weights, 2, weights.dtype, grad_input=slopes
        )
        if add_transposed:
            torch.add(slopes, slopes.transpose(1, 2), out=weights)
            slopes = weights
        return slopes.to(grad.dtype)

    def _place(
        self, name: str, rows: Tensor, columns: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """Find the memory for products of (M, B, *) and (M, Q, *): (M, B, Q)."""
        if name not in self._buffers:
            self._buffers[name] = self._like.new_empty(self._size, dtype=dtype)
        shape = *rows.shape[:2], columns.shape[1]
        return self._buffers[name][: math.prod(shape)].view(shape)  # (M, B, Q)


def _sums_like(like: Tensor, is_split: bool) -> Tensor:
    """Make what a block's products are written to, or where there are more, added to.

    In a dtype in which not each addition rounds coarsely.
    """
    if is_split:
        return torch.zeros_like(like, dtype=wide(like.dtype))
    return torch.empty_like(like)


def _multiply(
    out: Tensor, a: Tensor, b: Tensor, scale: float = 1.0, add: bool = False
) -> None:
    """Write ``scale * a @ b`` to ``out``, or add it."""
    # A product that is written by columns is that of the transposed, by rows.
    if out.stride(1) == 1 and out.stride(2) > 1:
        out, a, b = (t.transpose(1, 2) for t in (out, b, a))
    # The scale multiplies sums of full precision, so it needs no copy of a factor.
    # baddbmm_ wants one dtype, and where it has one needs no memory for the product.
    if out.dtype == a.dtype:
        out.baddbmm_(a, b, beta=int(add), alpha=scale)
    elif multiplies_wide(a):
        wide_product(out, a, b, scale, add)
    else:
        out.add_(a @ b, alpha=scale)
