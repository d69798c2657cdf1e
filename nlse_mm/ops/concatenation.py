"""Concatenation attention by sorting.

Shapes: N batch, P queries, Q keys, E channels of values.
"""

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from .derivatives import derivatives
from .precision import common_dtype
from .tracing import needs_formula

COLUMNS = 64  # channels of the values whose running sums are held at a time


def concatenation_attention(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    r"""Mean of the values, weighted by the rectified sums.

    .. math:: y_i = \frac{1}{Q} \sum_j \mathrm{ReLU}(a_i + b_j)\, v_j

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equation 5 with
    C(x) = Q: the product of w with the concatenated theta_i and phi_j is a sum of one
    number of i and one of j. The rectifier keeps the j with b_j > -a_i. With b sorted,
    these are the last ones, and

    .. math:: y_i = \frac{1}{Q} \Bigl(a_i \sum_{j \ge k_i} v_j
                  + \sum_{j \ge k_i} b_j v_j\Bigr)

    reads two running sums at one place :math:`k_i`. Exact, in time
    (P + Q) (log Q + E) and memory (P + Q) E. The running sums are kept in double
    precision: in single precision those over 67,200 values lose four digits.

    Args:
        a: (N, P).
        b: (N, Q).
        value: (N, Q, E).

    Returns:
        (N, P, E), zeros where Q is 0. A second derivative is the formula's, in memory
        that grows with P * Q, as are files and ``torch.func``.
    """
    dtype = common_dtype(a, b, value)
    a, b, value = (t.to(dtype) for t in (a, b, value))
    if needs_formula():
        return _formula(a, b, value)
    return _attend(a, b, value)


def _formula(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    return (a[:, :, None] + b[:, None, :]).relu() @ value / b.shape[1]


@torch.library.custom_op("nlse_mm::concatenation_attention", mutates_args=())
def _attend(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    out = value.new_empty(*a.shape, value.shape[2])
    above = _Above(-a, b)
    for part in _columns(value):
        total, weighted = above.sums(value[..., part], weighted=True)
        weighted.addcmul_(a[:, :, None].double(), total)
        out[..., part] = weighted.div_(max(b.shape[1], 1))
    return out


@_attend.register_fake
def _(a, b, value):
    return value.new_empty(*a.shape, value.shape[2])


@torch.library.custom_op("nlse_mm::concatenation_attention_backward", mutates_args=())
def _attend_backward(
    grad: Tensor, a: Tensor, b: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a, b and value: the same sums, with the roles exchanged."""
    d_a, d_b = (torch.zeros_like(t, dtype=torch.float64) for t in (a, b))
    d_value = torch.empty_like(value)
    count = max(b.shape[1], 1)
    above_a, above_b = _Above(-a, b), _Above(-b, a)
    for part in _columns(value):
        (total,) = above_a.sums(value[..., part], weighted=False)
        d_a += total.mul_(grad[..., part]).sum(dim=2)
        total, weighted = above_b.sums(grad[..., part], weighted=True)
        weighted.addcmul_(b[:, :, None].double(), total)
        d_value[..., part] = weighted.div_(count)
        d_b += total.mul_(value[..., part]).sum(dim=2)
    return (d_a / count).to(a.dtype), (d_b / count).to(b.dtype), d_value


@_attend_backward.register_fake
def _(grad, a, b, value):
    return tuple(torch.empty_like(t) for t in (a, b, value))


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad):
    if torch.is_grad_enabled():  # create_graph=True
        return derivatives(_formula, grad, *ctx.saved_tensors)
    return _attend_backward(grad.contiguous(), *ctx.saved_tensors)


_attend.register_autograd(_backward, setup_context=_save)


@register_flop_formula(torch.ops.nlse_mm.concatenation_attention)
def _flops(a, b, value, **_) -> int:
    """One product for each value, to weight it, and one for each output."""
    (n, p), (_, q, e) = a, value
    return 2 * n * (p + q) * e


@register_flop_formula(torch.ops.nlse_mm.concatenation_attention_backward)
def _backward_flops(grad, a, b, value, **_) -> int:
    """The same with the roles exchanged, and the products with the gradients."""
    return 2 * _flops(a, b, value)


def _columns(value: Tensor) -> list[slice]:
    return [slice(i, i + COLUMNS) for i in range(0, value.shape[2], COLUMNS)]


class _Above:
    """For each threshold (N, T), the keys (N, K) that are greater."""

    def __init__(self, thresholds: Tensor, keys: Tensor):
        self.keys, self.order = keys.sort(dim=1, descending=True)
        # The number of keys above each threshold: keys fall, their negatives rise.
        falling = -self.keys.contiguous()
        self.counts = torch.searchsorted(falling, -thresholds.contiguous(), right=False)

    def sums(self, values: Tensor, weighted: bool) -> list[Tensor]:
        """Sums of the values of these keys.

        Args:
            values: (N, K, E).
            weighted: Whether the sum of the values times their keys is wanted, too.

        Returns:
            One or two tensors (N, T, E), in double precision.
        """
        place = self.counts[:, :, None].expand(-1, -1, values.shape[2])
        order = self.order[:, :, None].expand_as(values)
        terms = [values.gather(1, order).double()]
        if weighted:
            terms.append(terms[0] * self.keys[:, :, None])
        sums = []
        while terms:
            running = torch.nn.functional.pad(terms.pop(0).cumsum(dim=1), (0, 0, 1, 0))
            sums.append(running.gather(1, place))
        return sums
