"""The end of a residual block with an excited branch, in few passes over memory.

Shapes: N batch, C channels, H height, W width, M channels between the two layers of the
excitation.

Squeeze and excitation has next to no arithmetic: what it costs is reading, writing and
allocating whole maps. Here the block's output overwrites the branch, and the backward
pass recovers the branch's values from that output, so that no map is kept that a block
without excitation wouldn't keep. In half precision, whose rounding forbids that, the
branch is kept, and the backward pass reads it fewer times.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from .context import Context
from .gate import Excitation, excitation, squeeze
from .layout import memory_format
from .older_torch import is_compiling
from .precision import no_autocast, wide
from .tracing import needs_formula

# Numbers in a chunk of a map, 4 MiB in single precision. What is computed on the way to
# a sum stays in the cache that way: to allocate whole maps for it costs a CPU more than
# the arithmetic here. Smaller chunks would leave each of many threads too little to do.
MAP_CHUNK = 1 << 20


def excite_add_relu(
    x: Tensor, identity: Tensor, weights: Excitation, gate_scale: float = 1.0
) -> Tensor:
    r"""Excite ``x``, add ``identity`` and rectify; ``x`` may be overwritten.

    .. math:: y = \mathrm{ReLU}(\mathrm{identity} + s \cdot x), \quad
              s = \gamma\, \sigma(W_2\,\mathrm{ReLU}(W_1 \bar x))

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_, equations 2
    to 4, at the end of a residual block. The scale :math:`\gamma` is not in the paper:
    2 makes a gate of W_2 = 0 exactly 1.

    The gradient of ``s`` is a sum over a map of gradient times ``x``. Wherever the ReLU
    lets a gradient through, ``s * x`` is ``y - identity``, exact but for the rounding
    of ``y``, and so ``x`` needn't be kept. Half precision rounds too coarsely for that
    and keeps it, in place of ``identity``. Compiled, exported and traced graphs, and
    tensors of several dtypes, get the plain formula.

    Training keeps two maps, 2 N C H W numbers; inference none. A second derivative of
    the fused form doesn't exist.

    Args:
        x: The branch's output, (N, C, H, W). Nothing else may need its values, which
            holds for what a norm or a convolution has just returned.
        identity: The shortcut's output, (N, C, H, W).
        weights: ``(W_1, bias, W_2, bias)``, (M, C), (M,), (C, M), (C,).
        gate_scale: Multiplies the sigmoid: the upper bound of ``s``.

    Returns:
        The block's output, (N, C, H, W).

    Raises:
        RuntimeError: In the backward pass with ``create_graph=True``.

    Example:
        >>> x = torch.tensor([1.0, -4.0]).view(1, 2, 1, 1)
        >>> weights = torch.zeros(1, 2), None, torch.zeros(2, 1), None
        >>> excite_add_relu(x, torch.ones_like(x), weights).flatten()  # s = 1 / 2
        tensor([1.5000, 0.0000])
    """
    # A compiler fuses the plain formula by itself.
    graph = is_compiling() or needs_formula()
    tensors = [t for t in (x, identity, *weights) if t is not None]
    trains = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    if trains and not graph and _can_fuse(x, identity, weights):
        return _ExciteAddReLU.apply(x, identity, *weights, gate_scale)
    gate = excitation(x, weights, gate_scale)[:, :, None, None]  # (N, C, 1, 1)
    # Not in place where autograd keeps x, or where its dtype can't hold the sum's.
    if trains or graph or x.dtype != torch.result_type(identity, gate):
        return torch.addcmul(identity, x, gate).relu_()
    return _overwrite(x, identity, gate)


def _can_fuse(x: Tensor, identity: Tensor, weights: Excitation) -> bool:
    """Tell whether the maps have one dtype, and the weights that or a wider one."""
    dtypes = {w.dtype for w in weights if w is not None}
    return x.dtype == identity.dtype and dtypes <= {x.dtype, wide(x.dtype)}


def _overwrite(x: Tensor, identity: Tensor, gate: Tensor) -> Tensor:
    """Write the block's output over ``x``; the gate is (N, C, 1, 1)."""
    for y, shortcut, s in _chunks(x, identity, gate):
        torch.addcmul(shortcut, y, s, out=y).relu_()
    return x


def _chunks(*maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Iterate over views of a few channels of every map; for a GPU, of all channels.

    The maps are (N, C, H, W) or (N, C, 1, 1).
    """
    first = maps[0]
    # Channels last, some channels of a map are no contiguous memory; and on a GPU each
    # chunk would be some kernels more to start.
    if first.device.type == "cpu" and all(m.is_contiguous() for m in maps):
        channels = max(MAP_CHUNK // max(first.shape[2:].numel(), 1), 1)
        # Images and channels in one dimension: a chunk of small maps has many images.
        split = (
            m.view(1, -1, *m.shape[2:]).split(  # (1, N C, H, W)
                channels, 1
            )  # (1, channels, H, W) each
            for m in maps
        )
        return zip(*split, strict=True)
    return iter([maps])


class _Context(Context, Protocol):
    gate_scale: float
    needs_input_grad: tuple[bool, ...]

    def mark_dirty(self, *tensors: Tensor) -> None: ...


class _ExciteAddReLU(torch.autograd.Function):
    """The fused end of a block, with a backward pass that needs one map of two.

    In half precision that is the branch; otherwise, the identity, and the branch's
    place is the output's.
    """

    @staticmethod
    def forward(
        ctx: _Context,
        x: Tensor,
        identity: Tensor,
        w1: Tensor,
        b1: Tensor | None,
        w2: Tensor,
        b2: Tensor | None,
        gate_scale: float,
    ) -> Tensor:
        pooled, hidden, sigmoid = squeeze(x, (w1, b1, w2, b2))
        gate = (gate_scale * sigmoid).to(x.dtype)[:, :, None, None]  # (N, C, 1, 1)
        if x.dtype == sigmoid.dtype:
            y, kept = _overwrite(x, identity, gate), identity
            ctx.mark_dirty(x)  # so that this function becomes the history of x
        else:
            y, kept = torch.addcmul(identity, x, gate).relu_(), x
        ctx.save_for_backward(y, kept, pooled, hidden, sigmoid, w1, w2)
        ctx.gate_scale = gate_scale
        return y

    @staticmethod
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "create_graph=True: the fused end of an excited block has no second "
                "derivative; an SE layer with a forward hook runs unfused and has one"
            )
        with no_autocast(grad):
            return _backward(ctx, grad)


def _backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
    y, kept, pooled, hidden, sigmoid, *weights = ctx.saved_tensors
    # In the format of y: maps are split only where all of them are contiguous.
    grad = grad.contiguous(memory_format=memory_format(y))
    w1, w2 = (w.to(sigmoid.dtype) for w in weights)  # (M, C), (C, M)
    gate = (ctx.gate_scale * sigmoid).to(y.dtype)[:, :, None, None]  # (N, C, 1, 1)
    if y.dtype == sigmoid.dtype:
        d_identity, d_log_gate = _through_relu(grad, y, kept)
    else:
        d_identity = torch.ops.aten.threshold_backward(grad, y, 0)
        d_gate = (d_identity * kept).sum((2, 3), dtype=sigmoid.dtype)  # (N, C)
        d_log_gate = d_gate * (ctx.gate_scale * sigmoid)
    # By the gate's logarithm, whose derivative is 1 - sigmoid: x itself would be
    # (y - identity) / gate, and the gate can round to 0.
    d_logit = d_log_gate * (1 - sigmoid)  # (N, C)
    d_hidden = (d_logit @ w2) * (hidden > 0)  # (N, M)
    d_x = None
    if ctx.needs_input_grad[0]:
        d_mean = (d_hidden @ w1) / y.shape[2:].numel()  # (N, C)
        # A map of its own: d_identity is returned as well.
        d_x = torch.empty_like(d_identity)
        maps = d_x, d_identity, gate, d_mean.to(y.dtype)[:, :, None, None]
        for dx, di, s, dm in _chunks(*maps):
            if dx.is_cuda:
                torch.addcmul(dm, di, s, out=dx)
            else:  # in the cache, two passes take less time than this one
                torch.mul(di, s, out=dx).add_(dm)
    return (
        d_x,
        d_identity,
        d_hidden.t() @ pooled,  # (M, C)
        d_hidden.sum(0) if ctx.needs_input_grad[3] else None,  # (M,)
        d_logit.t() @ hidden,  # (C, M)
        d_logit.sum(0) if ctx.needs_input_grad[5] else None,  # (C,)
        None,
    )


def _through_relu(grad: Tensor, y: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradient before the ReLU, and that of the gate's logarithm.

    The latter is the sum over a map of the former times ``s * x``, which is
    ``y - identity`` wherever the former isn't zero.

    Returns:
        (N, C, H, W) and (N, C).
    """
    before = torch.empty_like(y)
    sums = y.new_empty(*y.shape[:2], 1, 1)  # (N, C, 1, 1)
    for g, d, out, shortcut, total in _chunks(grad, before, y, identity, sums):
        # The form with a place for its result: grad * (y > 0) allocates a mask.
        torch.ops.aten.threshold_backward.grad_input(g, out, 0, grad_input=d)
        # Of a chunk, (1, channels, 1, 1). out - shortcut is s * x, which wasn't kept.
        torch.sum((out - shortcut).mul_(d), (2, 3), keepdim=True, out=total)
    return before, sums[:, :, 0, 0]  # the latter (N, C)
