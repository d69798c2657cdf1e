"""Derivatives of a formula that can themselves be differentiated."""

from collections.abc import Callable

import torch
from torch import Tensor


def derivatives(
    formula: Callable[..., Tensor], grad: Tensor, *inputs: Tensor | float
) -> tuple[Tensor, ...]:
    """Differentiate ``formula`` at ``inputs``, so that a second time is possible.

    Args:
        formula: What was computed, in PyTorch's own operations.
        grad: The gradient of its output.
        inputs: Tensors, and numbers after them.

    Returns:
        A gradient for each tensor.
    """
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    with torch.enable_grad():
        # One tensor in two places gets two gradients, and one that wants none gets one.
        views = [
            t.view_as(t) if t.requires_grad else t.detach().requires_grad_()
            for t in tensors
        ]
        out = formula(*views, *inputs[len(tensors) :])
        return torch.autograd.grad(out, views, grad, create_graph=True)
