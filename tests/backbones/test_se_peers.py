"""SE trunks beside MMPretrain's and timm's: the same weights give the same outputs.

Both peers are optional. timm imports torchvision, whose wheels don't always fit a CPU
build of PyTorch: they miss their own operators, which nothing here calls.
"""

import re
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
def test_it_equals_mmpretrains(toolbox, name, depth, kwargs):
    backbones = peer("mmpretrain.models.backbones")
    theirs = getattr(backbones, name)(depth, out_indices=(0, 1, 2, 3), **kwargs)
    ours = build(name, depth, norm_eval=False, **kwargs)
    randomise(theirs)
    loaded = ours.load_state_dict(theirs.state_dict(), strict=True)
    assert str(loaded) == "<All keys matched successfully>"
    assert_alike(ours, theirs)


def timms_names(key):
    """A parameter of ours as timm's ResNet calls it."""
    key = key.replace("se_layer.conv1.conv", "se.fc1")
    return key.replace("se_layer.conv2.conv", "se.fc2")


def legacy_names(key):
    """A parameter of ours as Cadene's port of the authors' weights calls it."""
    key = key.replace("se_layer.conv1.conv", "se_module.fc1")
    key = key.replace("se_layer.conv2.conv", "se_module.fc2")
    key = re.sub(r"^(conv1|bn1)\.", r"layer0.\1.", key)
    stem = {f"stem.{3 * i}": f"layer0.conv{i + 1}" for i in range(3)}
    stem |= {f"stem.{3 * i + 1}": f"layer0.bn{i + 1}" for i in range(3)}
    for mine, theirs in stem.items():
        key = key.replace(mine + ".", theirs + ".")
    return key


@pytest.mark.parametrize(
    ("theirs", "renamed", "name", "depth", "kwargs"),
    [
        ("seresnet50", timms_names, "SEResNet", 50, dict()),
        ("seresnet18", timms_names, "SEResNet", 18, dict()),
        ("seresnext50_32x4d", timms_names, "SEResNeXt", 50, dict()),
        ("legacy_seresnet50", legacy_names, "SEResNet", 50, dict(style="caffe")),
        ("legacy_seresnext50_32x4d", legacy_names, "SEResNeXt", 50, dict()),
        ("legacy_senet154", legacy_names, "SENet", 154, dict()),
    ],
)
def test_it_equals_timms(in_mmdet, theirs, renamed, name, depth, kwargs):
    timm = peer("timm")
    net = timm.create_model(theirs)
    legacy = renamed is legacy_names
    ours = build(name, depth, norm_eval=False, pool_ceil_mode=legacy, **kwargs)
    randomise(net)
    weights = net.state_dict()
    ours.load_state_dict({k: weights[renamed(k)] for k in ours.state_dict()})
    classifier = 2  # a weight and a bias
    assert len(ours.state_dict()) == len(weights) - classifier

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return [self.net.forward_features(x)]

    assert_alike(ours, Features())
