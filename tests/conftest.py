"""What several tests share: the active toolbox, and plugins whose effect is seen."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from nlse_mm.registry import MODELS

ROOT = Path(__file__).parents[1]
warnings.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture(params=["mmdet", "mmseg"])
def toolbox(request):
    """Each toolbox in turn, as the default scope; its absence skips the test."""
    pytest.importorskip(request.param)
    with DefaultScope.overwrite_default_scope(request.param):
        yield request.param


@pytest.fixture
def in_mmdet():
    pytest.importorskip("mmdet")
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


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


@pytest.fixture
def without(monkeypatch):
    """A function that makes a package look as if it weren't installed."""

    def hide(package: str) -> None:
        for name in [n for n in sys.modules if n.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide
