"""Derivatives of a formula that can themselves be differentiated.

Shapes: any; each gradient has the shape of its tensor.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .precision import no_autocast


def derivatives(
    formula: Callable[..., Tensor], grad: Tensor, *inputs: Tensor | float
) -> tuple[Tensor, ...]:
    """Differentiate ``formula`` at ``inputs``, so that a second time is possible.

    The formula runs once more, and its graph, with all that it stores, is kept.

    Args:
        formula: What was computed, in PyTorch's own operations.
        grad: The gradient of its output.
        inputs: Tensors, and numbers after them.

    Returns:
        A gradient for each tensor.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> (slope,) = derivatives(lambda x: x**3, torch.tensor(1.0), x)
        >>> torch.autograd.grad(slope, x)  # 6 x
        (tensor(18.),)
    """
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    # A backward pass may be running, and in it the formula still needs a graph. Its
    # inputs are in the dtype to compute in, which autocast would undo.
    with torch.enable_grad(), no_autocast(grad):
        # One tensor in two places gets two gradients, and one that wants none gets one.
        views = [
            t.view_as(t) if t.requires_grad else t.detach().requires_grad_()
            for t in tensors
        ]
        out = formula(*views, *inputs[len(tensors) :])
        return torch.autograd.grad(out, views, grad, create_graph=True)
