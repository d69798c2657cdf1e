"""The order of a map's numbers in memory."""

import torch
from torch import Tensor

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def memory_format(x: Tensor) -> torch.memory_format:
    """Find the memory format of a map; contiguous where it isn't channels-last."""
    last = _CHANNELS_LAST.get(x.dim())
    if last and x.is_contiguous(memory_format=last) and not x.is_contiguous():
        return last
    return torch.contiguous_format
