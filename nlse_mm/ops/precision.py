"""One dtype for the tensors of a product."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def common_dtype(*tensors: Tensor) -> torch.dtype:
    """Autocast's dtype where it is on, as for any matrix product; else the widest."""
    widest = tensors[0].dtype
    for tensor in tensors[1:]:
        widest = torch.promote_types(widest, tensor.dtype)
    if widest != torch.float64 and is_autocast(tensors[0]):
        return torch.get_autocast_dtype(tensors[0].device.type)
    return widest


def is_autocast(x: Tensor) -> bool:
    """Tell whether autocast is on for the device of ``x``; it doesn't know ``meta``."""
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def no_autocast(x: Tensor) -> AbstractContextManager:
    """Switch autocast off for the device of ``x``."""
    if x.device.type == "meta":
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
