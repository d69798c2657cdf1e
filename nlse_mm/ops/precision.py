"""One dtype for the tensors of a product."""

import torch
from torch import Tensor


def common_dtype(*tensors: Tensor) -> torch.dtype:
    """Autocast's dtype where it is on, as for any matrix product; else the widest."""
    widest = tensors[0].dtype
    for tensor in tensors[1:]:
        widest = torch.promote_types(widest, tensor.dtype)
    device = tensors[0].device.type
    if widest != torch.float64 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return widest
