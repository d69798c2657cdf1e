"""SE backbones beside MMPretrain's and timm's: the same weights give the same outputs.

Both peers are optional. timm imports torchvision, whose wheels don't always fit a CPU
build of PyTorch: they miss their own operators, which nothing here calls.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

OPERATORS = "nms qnms roi_align roi_pool ps_roi_align ps_roi_pool deform_conv2d"


def peer(name):
    """The package, or a skip that says why there is none."""
    if find_spec(name.split(".")[0]) is None:
        pytest.skip(f"{name} isn't installed, so there is no peer to compare with")
    if find_spec("torchvision") is not None:
        mend_torchvision()
    return import_module(name)


@cache
def mend_torchvision():
    """Define the operators without which torchvision can't be imported, where so.

    Returns:
        What keeps the definitions alive.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in OPERATORS.split():
            backward = [] if operator.endswith("nms") else [f"_{operator}_backward"]
            for defined in (operator, *backward):
                library.define(f"{defined}(Tensor x) -> Tensor")
        return library


def build(name, depth, **kwargs):
    return MODELS.build(dict(type=f"nlse_mm.{name}", depth=depth, **kwargs))


def randomise(module):
    """Weights and statistics under which every part of the network shows."""
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.0)
            nn.init.normal_(m.bias, std=0.1)
            nn.init.normal_(m.running_mean, std=0.1)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
        if isinstance(m, nn.Conv2d) and m.bias is not None:
            nn.init.normal_(m.bias)


def assert_alike(ours, theirs):
    """Both modules' last map, in inference and in training.

    In double precision: norms over the few positions of these maps blow rounding up.
    """
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(2, 3, 75, 98, generator=generator, dtype=torch.float64)
    for train in (False, True):
        maps = []
        for module in (ours.double(), theirs.double()):
            module.train(train)
            with torch.set_grad_enabled(train):
                maps.append(module(x)[-1].detach())
        torch.testing.assert_close(*maps, rtol=0, atol=1e-8 * maps[1].abs().max())
        assert maps[1].std() > 0.01


@pytest.mark.parametrize(
    ("name", "depth", "kwargs"),
    [
        ("SEResNet", 50, dict()),
        ("SEResNet", 101, dict()),
        ("SEResNet", 50, dict(style="caffe")),
        ("SEResNeXt", 50, dict()),
    ],
)
def test_it_equals_mmpretrains(toolbox, named, name, depth, kwargs):
    backbones = peer("mmpretrain.models.backbones")
    theirs = getattr(backbones, name)(depth, out_indices=(0, 1, 2, 3), **kwargs)
    randomise(theirs)
    ours = build(name, depth, norm_eval=False, **kwargs)
    loaded = ours.load_state_dict(theirs.state_dict(), strict=True)
    assert str(loaded) == "<All keys matched successfully>"
    published = {f"backbone.{k}": v for k, v in theirs.state_dict().items()}
    init_cfg = dict(type="Pretrained", checkpoint=named(dict(state_dict=published)))
    ours = build(name, depth, norm_eval=False, init_cfg=init_cfg, **kwargs)
    ours.init_weights()
    assert_alike(ours, theirs)


@pytest.mark.parametrize(
    ("theirs", "name", "depth", "kwargs"),
    [
        ("seresnet50", "SEResNet", 50, dict()),
        ("seresnet18", "SEResNet", 18, dict()),
        ("seresnet152d", "SEResNet", 152, dict(deep_stem=True, avg_down=True)),
        ("seresnext50_32x4d", "SEResNeXt", 50, dict()),
        ("senet154", "SENet", 154, dict()),
        ("legacy_seresnet50", "SEResNet", 50, dict(style="caffe")),
        ("legacy_seresnext50_32x4d", "SEResNeXt", 50, dict()),
        ("legacy_senet154", "SENet", 154, dict()),
    ],
)
def test_it_equals_timms(in_mmdet, named, monkeypatch, theirs, name, depth, kwargs):
    timm = peer("timm")
    net = timm.create_model(theirs)
    randomise(net)
    log = []
    monkeypatch.setattr(
        "nlse_mm.checkpoint.conversion.published.print_log",
        lambda msg, **_: log.append(msg),
    )
    ours = build(
        name,
        depth,
        norm_eval=False,
        pool_ceil_mode=theirs.startswith("legacy"),
        init_cfg=dict(type="Pretrained", checkpoint=named(net.state_dict())),
        **kwargs,
    )
    ours.init_weights()
    classifier = "last_linear" if theirs.startswith("legacy") else "fc"
    assert f"2 not used: {classifier}.bias, {classifier}.weight" in log[0]

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return [self.net.forward_features(x)]

    assert_alike(ours, Features())
