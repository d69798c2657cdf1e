"""A model with a non-local block of MMCV's, for sequences, maps and volumes."""

import pytest
import torch
from mmcv.cnn import NonLocal1d, NonLocal2d, NonLocal3d
from torch import nn

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
each_mode = pytest.mark.parametrize("mode", MODES)
CLASSES = {1: NonLocal1d, 2: NonLocal2d, 3: NonLocal3d}
SIZES = {1: (2, 6, 14), 2: (2, 6, 9, 7), 3: (2, 6, 3, 6, 4)}


class Model(nn.Module):
    """A convolution, a block and a classifier, for maps of any dimension."""

    def __init__(self, block, dims=2):
        super().__init__()
        conv = getattr(nn, f"Conv{dims}d")
        self.stem = conv(3, 6, 3, padding=1)
        self.block = block
        self.head = conv(6, 2, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def forward(self, x):
        return self.head(self.block(self.stem(x).relu()))


def image(dims=2):
    n, _, *size = SIZES[dims]
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(1))
