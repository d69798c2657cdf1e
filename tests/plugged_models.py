"""Any model with plugins on its outputs or behind its modules, and its baseline."""

import torch
from mmengine.registry import MODELS
from torch import nn

from nlse_mm.registry import MODELS as OURS

NL = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
DOUBLE = dict(type="nlse_mm.Affine", scale=2.0)
SWIN = dict(
    base="SwinTransformer",
    embed_dims=24,
    depths=(1, 1, 1, 1),
    num_heads=(1, 2, 3, 4),
)
R18 = dict(base="ResNet", depth=18, base_channels=8)


@OURS.register_module()
class Returns(nn.Module):
    """A plain module: a convolution's map, through one of ``HOW``."""

    HOW = {
        "map": lambda x, _: x,
        "maps by name": lambda x, _: dict(first=x, second=x + 1),
        "vector": lambda x, _: x.mean((2, 3)),
        "tokens": lambda x, _: x.flatten(2).mT,
        "channels last": lambda x, _: x.permute(0, 2, 3, 1),
        "map and token": lambda x, _: ([x, x.mean((2, 3))],),
        "map and maps": lambda x, _: ([x, x],),
        "more in training": lambda x, self: (x,) * (1 + self.training),
        "nothing that runs": lambda x, _: x.no_such_thing,
    }

    def __init__(self, how):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=4)
        self.how = how

    def forward(self, x):
        return self.HOW[self.how](self.conv(x), self)


def build(*plugins, **kwargs):
    return MODELS.build(dict(type="nlse_mm.WithPlugins", plugins=plugins, **kwargs))


def stock_of(model, **kwargs):
    """The untouched base with the plugged model's weights, both in inference."""
    stock = build(**kwargs)
    missing, unexpected = stock.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    assert unexpected
    for module in (model, stock):
        module.eval()
    return stock


def image():
    return torch.rand(2, 3, 64, 96)
