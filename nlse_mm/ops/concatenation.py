"""Concatenation attention by sorting.

Shapes: N batch, P queries, Q keys, E channels of values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .context import Context
from .derivatives import derivatives
from .exported_concatenation import exported_concatenation, formula
from .older_torch import flop_formula, operation
from .precision import common_dtype
from .tracing import is_recording, needs_formula

# Channels of the values whose suffix sums exist at a time. They are in double
# precision, so those of all channels would take several times the values' memory.
CHANNEL_CHUNK = 64


def concatenation_attention(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    r"""Average the values, weighted by rectified sums of a query's and a key's number.

    .. math:: y_i = \frac{1}{Q} \sum_j \mathrm{ReLU}(a_i + b_j)\, v_j

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equation 5 with
    C(x) = Q: the product of w with the concatenated theta_i and phi_j is a sum of one
    number of i and one of j. The paper applies the rectifier to each of the P Q sums.
    Here b is sorted: the keys with b_j > -a_i, which the rectifier keeps, are then the
    last ones, and

    .. math:: y_i = \frac{1}{Q} \Bigl(a_i \sum_{j \ge k_i} v_j
                  + \sum_{j \ge k_i} b_j v_j\Bigr)

    reads two suffix sums at one place :math:`k_i`. Exact. The suffix sums are kept in
    double precision: in single precision those over 67,200 values lose four digits.

    Costs (P + Q) (log Q + E) multiplications and comparisons an image, and (P + Q) E
    numbers of memory, in exported files, too. A second derivative is the formula's, in
    memory that grows with P * Q, as are ``torch.func``'s and what the tracer records.

    Args:
        a: The queries' numbers, (N, P).
        b: The keys' numbers, (N, Q).
        value: (N, Q, E).

    Returns:
        (N, P, E), zeros where Q is 0.

    Example:
        >>> a, b = torch.tensor([[1.0]]), torch.tensor([[-2.0, 3.0]])
        >>> value = torch.tensor([[[5.0], [7.0]]])
        >>> concatenation_attention(a, b, value)  # (0 * 5 + 4 * 7) / 2
        tensor([[[14.]]])
    """
    dtype = common_dtype(a, b, value)
    a, b, value = [t.to(dtype) for t in (a, b, value)]
    if is_recording():
        return exported_concatenation(a, b, value)
    if needs_formula():
        return formula(a, b, value)
    return _attend(a, b, value)


@operation("concatenation_attention")
def _attend(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    out = value.new_empty(*a.shape, value.shape[2])  # (N, P, E)
    suffix = _SuffixSums(-a, b)
    for chunk in _channel_chunks(value):
        total, weighted = suffix.sums(value[..., chunk], weighted=True)  # (N, P, chunk)
        # In place: both are fresh, and in double precision among the largest tensors.
        weighted.addcmul_(a[:, :, None].double(), total)  # a as (N, P, 1)
        out[..., chunk] = weighted.div_(max(b.shape[1], 1))
    return out


@_attend.register_fake
def _(a: Tensor, b: Tensor, value: Tensor) -> Tensor:
    return value.new_empty(*a.shape, value.shape[2])  # (N, P, E)


@operation("concatenation_attention_backward")
def _attend_backward(
    grad: Tensor, a: Tensor, b: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of a, b and value: the same sums, the roles exchanged."""
    # In double precision, as each chunk of channels adds to these.
    d_a, d_b = (torch.zeros_like(t, dtype=torch.float64) for t in (a, b))
    d_value = torch.empty_like(value)
    count = max(b.shape[1], 1)
    # a_i + b_j > 0 is symmetric: the queries that a key's gradient sums over are again
    # those above a threshold, -b_j.
    over_keys, over_queries = _SuffixSums(-a, b), _SuffixSums(-b, a)
    for chunk in _channel_chunks(value):
        (total,) = over_keys.sums(value[..., chunk], weighted=False)  # (N, P, chunk)
        d_a += total.mul_(grad[..., chunk]).sum(dim=2)  # (N, P)
        total, weighted = over_queries.sums(grad[..., chunk], weighted=True)
        weighted.addcmul_(b[:, :, None].double(), total)  # (N, Q, chunk), b (N, Q, 1)
        d_value[..., chunk] = weighted.div_(count)
        d_b += total.mul_(value[..., chunk]).sum(dim=2)  # (N, Q)
    return (d_a / count).to(a.dtype), (d_b / count).to(b.dtype), d_value


@_attend_backward.register_fake
def _(grad: Tensor, a: Tensor, b: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(t) for t in (a, b, value))


def _save(ctx: Context, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    # The inputs alone: they are sorted and summed again, since suffix sums in double
    # precision are larger than the values.
    ctx.save_for_backward(*inputs)


def _backward(ctx: Context, grad: Tensor) -> tuple[Tensor, ...]:
    if torch.is_grad_enabled():  # create_graph=True
        return derivatives(formula, grad, *ctx.saved_tensors)
    return _attend_backward(grad.contiguous(), *ctx.saved_tensors)


_attend.register_autograd(_backward, setup_context=_save)


@flop_formula("concatenation_attention")
def _flops(a: torch.Size, b: torch.Size, value: torch.Size, **_others: object) -> int:
    """Count one product for each value, to weight it, and one for each output."""
    (n, p), (_, q, e) = a, value
    return 2 * n * (p + q) * e


@flop_formula("concatenation_attention_backward")
def _backward_flops(
    grad: torch.Size, a: torch.Size, b: torch.Size, value: torch.Size, **_others: object
) -> int:
    """Count the same with the roles exchanged, and the products with the gradients."""
    return 2 * _flops(a, b, value)


def _channel_chunks(value: Tensor) -> list[slice]:
    return [
        slice(i, i + CHANNEL_CHUNK) for i in range(0, value.shape[2], CHANNEL_CHUNK)
    ]


class _SuffixSums:
    """Sum values over the keys above each threshold: thresholds (N, P), keys (N, Q).

    In the backward pass the queries take the keys' place, and Q and P are exchanged.
    """

    def __init__(self, thresholds: Tensor, keys: Tensor):
        # Descending, so that the suffix is a prefix, which cumsum gives without a flip.
        self.keys, self.order = keys.sort(dim=1, descending=True)  # (N, Q) each
        # searchsorted wants rising numbers: keys fall, so their negatives are searched.
        falling = -self.keys.contiguous()
        # right=False leaves ties out: a sum of 0, where PyTorch's ReLU has gradient 0.
        self.counts = torch.searchsorted(
            falling, -thresholds.contiguous(), right=False
        )  # (N, P)

    def sums(self, values: Tensor, weighted: bool) -> list[Tensor]:
        """Return the sums of the values of these keys.

        Args:
            values: (N, Q, E).
            weighted: Whether the sum of the values times their keys is wanted, too.

        Returns:
            One or two tensors (N, P, E), in double precision.
        """
        # Positions last: along any other dimension a GPU's scan is many times as slow.
        values = values.transpose(1, 2)  # (N, E, Q)
        # expand, not repeat: the indices are not copied for each channel.
        place = self.counts[:, None].expand(-1, values.shape[1], -1)  # (N, E, P)
        order = self.order[:, None].expand_as(values)  # (N, E, Q)
        terms = [values.gather(2, order).double()]
        if weighted:
            terms.append(terms[0] * self.keys[:, None])  # keys as (N, 1, Q)
        sums = []
        while terms:
            # Popped, so that the terms' memory is free once they are summed. The row of
            # zeros is what a threshold above all keys reads.
            running = F.pad(terms.pop(0).cumsum(dim=2), (1, 0))  # (N, E, Q + 1)
            sums.append(running.gather(2, place).transpose(1, 2))  # (N, P, E)
        return sums
