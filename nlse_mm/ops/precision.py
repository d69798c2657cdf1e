"""One dtype for the tensors of a product.

Shapes: any; only dtype and device are read.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .older_torch import autocast_dtype, is_autocast_enabled


def common_dtype(*tensors: Tensor) -> torch.dtype:
    """Find the dtype to multiply in: autocast's where it is on; else the widest.

    Example:
        >>> x = torch.rand(2)
        >>> common_dtype(x, x.double(), x.half())
        torch.float64
    """
    widest = tensors[0].dtype
    for tensor in tensors[1:]:
        # Asked only where needed: PyTorch 2.1 can't compile the question.
        if tensor.dtype != widest:
            widest = torch.promote_types(widest, tensor.dtype)
    # Autocast leaves double precision alone in PyTorch's own products, too.
    if widest != torch.float64 and is_autocast(tensors[0]):
        return autocast_dtype(tensors[0].device.type)
    return widest


def wide(dtype: torch.dtype) -> torch.dtype:
    """Find what sums and exponentials are computed in: single precision at least."""
    return torch.promote_types(dtype, torch.float32)


def is_autocast(x: Tensor) -> bool:
    """Tell whether autocast is on for the device of ``x``."""
    # Autocast raises for ``meta``, on which models are counted and built.
    return x.device.type != "meta" and is_autocast_enabled(x.device.type)


def no_autocast(x: Tensor) -> AbstractContextManager:
    """Switch autocast off for the device of ``x``, within a ``with``."""
    if x.device.type == "meta":
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
