"""The end of a residual block with an excited branch, in few passes over memory.

Shapes: N batch, C channels, D channels inside the excitation.

Squeeze and excitation has next to no arithmetic: what it costs is reading, writing and
allocating whole maps. Here the block's output overwrites the branch, and the backward
pass takes from that output what it has to know of the branch, so that no map is kept
that a block without excitation wouldn't keep.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import memory_format
from .precision import no_autocast
from .tracing import needs_formula

# Numbers in a piece of a map. What is computed on the way to a sum stays in the cache
# that way: to allocate whole maps for it costs a CPU more than the arithmetic here.
# Smaller pieces would leave each of many threads too little to do.
PIECE = 1 << 20

# W_1 (D, C), its bias (D), W_2 (C, D), its bias (C); None where there is no bias.
Excitation = tuple[Tensor, Tensor | None, Tensor, Tensor | None]


def excite_add_relu(
    x: Tensor, identity: Tensor, weights: Excitation, top: float = 1.0
) -> Tensor:
    r"""Excite ``x``, add ``identity`` and rectify; ``x`` may be overwritten.

    .. math:: y = \mathrm{ReLU}(\mathrm{identity} + s \cdot x), \quad
              s = \mathrm{top} \cdot \sigma(W_2\,\mathrm{ReLU}(W_1 \bar x))

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_, equations 2
    to 4, at the end of a residual block.

    The gradient of ``s`` is a sum over a map of gradient times ``x``. Wherever the ReLU
    lets a gradient through, ``s * x`` is ``y - identity``, exact but for the rounding
    of ``y``, and so ``x`` needn't be kept. Half precision rounds too coarsely for that
    and keeps it. Compiled, exported and traced graphs hold the plain formula.

    Args:
        x: The branch's output, of shape (N, C, H, W). Nothing else may need its values,
            which holds for what a norm or a convolution has just returned.
        identity: The shortcut's output, of the shape of ``x``.
        weights: ``(W_1, bias, W_2, bias)``.
        top: The largest value of ``s``.

    Returns:
        The block's output, of the shape of ``x``.
    """
    graph = torch.compiler.is_compiling() or needs_formula()
    tensors = [t for t in (x, identity, *weights) if t is not None]
    trains = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    if trains and not graph and _all_of_full_precision(tensors):
        return _ExciteAddReLU.apply(x, identity, *weights, top)
    gate = excitation(x, weights, top)[:, :, None, None]
    if trains or graph or x.dtype != torch.result_type(identity, gate):
        return torch.addcmul(identity, x, gate).relu_()
    return _overwrite(x, identity, gate)


def excitation(x: Tensor, weights: Excitation, top: float = 1.0) -> Tensor:
    """The gate ``s`` of shape (N, C), each value between 0 and ``top``.

    Half precision is left for the few numbers in between, whose sums overflow in it.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    w1, b1, w2, b2 = (w if w is None else w.to(dtype) for w in weights)
    with no_autocast(x):
        hidden = F.linear(x.mean((2, 3), dtype=dtype), w1, b1).relu()
        gate = top * F.linear(hidden, w2, b2).sigmoid()
    return gate.to(x.dtype)


def _all_of_full_precision(tensors: list[Tensor]) -> bool:
    dtype = tensors[0].dtype
    return dtype in (torch.float32, torch.float64) and all(
        t.dtype == dtype for t in tensors
    )


def _overwrite(x: Tensor, identity: Tensor, gate: Tensor) -> Tensor:
    for y, shortcut, s in _pieces(x, identity, gate):
        torch.addcmul(shortcut, y, s, out=y).relu_()
    return x


def _pieces(*maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views of some channels of every map: for a GPU, or channels last, of all."""
    first = maps[0]
    if first.device.type == "cpu" and all(m.is_contiguous() for m in maps):
        channels = max(PIECE // max(first.shape[2:].numel(), 1), 1)
        rows = (m.view(1, -1, *m.shape[2:]).split(channels, 1) for m in maps)
        return zip(*rows, strict=True)
    return iter([maps])


class _ExciteAddReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, identity, w1, b1, w2, b2, top):
        with no_autocast(x):
            pooled = x.mean((2, 3))  # (N, C)
            hidden = F.linear(pooled, w1, b1).relu()  # (N, D)
            sigmoid = F.linear(hidden, w2, b2).sigmoid()  # (N, C)
        _overwrite(x, identity, (top * sigmoid)[:, :, None, None])
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, identity, pooled, hidden, sigmoid, w1, w2)
        ctx.top = top
        return x

    @staticmethod
    def backward(ctx, grad):
        if torch.is_grad_enabled():
            raise RuntimeError(
                "create_graph=True: the fused end of an excited block has no second "
                "derivative; an SE layer with a forward hook runs unfused and has one"
            )
        y, identity, pooled, hidden, sigmoid, w1, w2 = ctx.saved_tensors
        d_identity, d_log_gate = _through_relu(grad, y, identity)
        d_logit = d_log_gate * (1 - sigmoid)  # (N, C)
        d_hidden = (d_logit @ w2) * (hidden > 0)  # (N, D)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_mean = (d_hidden @ w1) / y.shape[2:].numel()
            d_x = torch.empty_like(d_identity)
            for dx, di, s, dm in _pieces(
                d_x,
                d_identity,
                (ctx.top * sigmoid)[:, :, None, None],
                d_mean[:, :, None, None],
            ):
                torch.mul(di, s, out=dx).add_(dm)
        return (
            d_x,
            d_identity,
            d_hidden.t() @ pooled,
            d_hidden.sum(0) if ctx.needs_input_grad[3] else None,
            d_logit.t() @ hidden,
            d_logit.sum(0) if ctx.needs_input_grad[5] else None,
            None,
        )


def _through_relu(grad: Tensor, y: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient before the ReLU, and that of the gate's logarithm.

    The latter is the sum over a map of the former times ``s * x``, which is
    ``y - identity`` wherever the former isn't zero.
    """
    grad = grad.contiguous(memory_format=memory_format(y))
    before = torch.empty_like(y)
    sums = y.new_empty(*y.shape[:2], 1, 1)
    for g, d, out, shortcut, total in _pieces(grad, before, y, identity, sums):
        torch.ops.aten.threshold_backward.grad_input(g, out, 0, grad_input=d)
        torch.sum((out - shortcut).mul_(d), (2, 3), keepdim=True, out=total)
    return before, sums[:, :, 0, 0]
