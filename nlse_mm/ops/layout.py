"""The order of a map's numbers in memory.

Shapes: N batch, C channels, H height, W width, ``*`` any spatial dimensions.
"""

import torch
from torch import Tensor

# PyTorch has a channels-last format for these numbers of dimensions only.
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def memory_format(x: Tensor) -> torch.memory_format:
    """Find the memory format of a map; contiguous where it isn't channels-last.

    Args:
        x: (N, C, *).

    Example:
        >>> x = torch.rand(2, 3, 4, 5)
        >>> memory_format(x), memory_format(x.to(memory_format=torch.channels_last))
        (torch.contiguous_format, torch.channels_last)
    """
    last = _CHANNELS_LAST.get(x.dim())
    # With one channel or one position a map is in both formats, and keeps the default.
    if last and x.is_contiguous(memory_format=last) and not x.is_contiguous():
        return last
    return torch.contiguous_format
