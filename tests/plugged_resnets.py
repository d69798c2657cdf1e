"""ResNets with plugins, their baselines, and what both return."""

import torch
from mmengine.registry import MODELS

NON_LOCAL = dict(type="nlse_mm.NonLocal2d")
PAPER = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
RES4 = (False, False, True, False)


def entry(position="after_block", cfg=PAPER, stages=RES4, blocks=(-2,)):
    return dict(cfg=cfg, stages=stages, blocks=blocks, position=position)


def build(entries, depth=18, name="nlse_mm.ResNet", **kwargs):
    return MODELS.build(dict(type=name, depth=depth, plugins=entries, **kwargs))


def baseline_of(backbone, toolbox, depth=18, name="ResNet", **kwargs):
    """The stock backbone with the weights that ``backbone`` has."""
    stock = MODELS.build(dict(type=f"{toolbox}.{name}", depth=depth, **kwargs))
    keys = stock.state_dict().keys()
    stock.load_state_dict({k: v for k, v in backbone.state_dict().items() if k in keys})
    return stock


def outputs(backbone, train=False):
    generator = torch.Generator().manual_seed(1)
    dtype = next(backbone.parameters()).dtype
    x = torch.rand(2, 3, 75, 98, generator=generator, dtype=dtype)
    backbone.train(train)  # MMDetection's returns None
    return backbone(x)


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y) for x, y in zip(a, b, strict=True)
    )
