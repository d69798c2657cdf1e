"""What a forward pass hands to its backward pass.

Shapes: none; tensors of any shape are kept.
"""

from typing import Protocol

from torch import Tensor


class Context(Protocol):
    """Name what PyTorch's ``ctx`` has; its own class leaves ``saved_tensors`` untyped.

    A function that keeps more than tensors extends it by what it keeps.
    """

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors until the backward pass has run."""
