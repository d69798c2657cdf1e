"""A plugin whose effect is seen.

In a module of its own: of several modules named conftest one is found by that name, so
that a class of a conftest can be pickled in some orders of the tests only.
"""

import torch
from torch import nn

from nlse_mm.registry import MODELS


@MODELS.register_module()
class Affine(nn.Module):
    """``scale * x + shift``: a plugin whose place and order show in the output."""

    _abbr_ = "affine"

    def __init__(self, in_channels: int, scale: float = 1.0, shift: float = 0.0):
        super().__init__()
        self.in_channels = in_channels
        self.scale = nn.Parameter(torch.tensor(scale))
        self.shift = shift

    def forward(self, x):
        return self.scale * x + self.shift
