"""Plugins in the models of torchvision, timm and Ultralytics, where these are there."""

import copy

import pytest
import torch
from plain_models import image
from plugged_models import NL
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from nlse_mm import add_plugins

TORCHVISION = dict(
    resnet18=[dict(after="layer3"), dict(after="layer2.0")],
    mobilenet_v3_small=[dict(after="features.4"), dict(after="features")],
)
TIMM = [
    ("resnet18", {}, [dict(after="layer3")]),
    ("resnet18", dict(features_only=True), [dict(output=3), dict(after="layer3")]),
    ("mobilenetv3_small_050", {}, [dict(after="blocks.3")]),
    ("convnext_atto", dict(features_only=True), [dict(output=2)]),
]


def tensors(out):
    return [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)]


def check(model, places, x):
    """Nothing changes at the start but new keys; later the plugins do run."""
    model.eval()
    stock = copy.deepcopy(model)
    add_plugins(model, [dict(cfg=NL, **place) for place in places], x)
    assert stock.state_dict().keys() < model.state_dict().keys()
    expected = tensors(stock(x))
    for ours, theirs in zip(tensors(model(x)), expected, strict=True):
        assert torch.equal(ours, theirs)
    sum(out.sum() for out in tensors(model(x))).backward()
    for plugin in model.plugin_modules():
        assert plugin.conv_out.bn.weight.grad.abs().max() > 0
        nn.init.ones_(plugin.conv_out.bn.weight)
    changed = tensors(model(x))
    assert not all(map(torch.equal, changed, expected))
    for ours, theirs in zip(tensors(copy.deepcopy(model)(x)), changed, strict=True):
        assert torch.equal(ours, theirs)
    return model, changed


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name):
    models = pytest.importorskip("torchvision.models")
    check(getattr(models, name)(), TORCHVISION[name], image())


def test_a_dict_of_torchvisions_counts_its_values():
    models = pytest.importorskip("torchvision.models")
    getter = pytest.importorskip("torchvision.models._utils").IntermediateLayerGetter
    stages = getter(models.resnet18(), dict(layer2="b", layer3="a"))
    check(stages, [dict(output=1), dict(after="layer2")], image())


@pytest.mark.parametrize(("name", "kwargs", "places"), TIMM)
def test_timm(name, kwargs, places):
    timm = pytest.importorskip("timm")
    check(timm.create_model(name, **kwargs), places, image())


def test_timms_gradient_checkpointing_runs_the_plugin():
    timm = pytest.importorskip("timm")
    places, x = [dict(after="layer3")], image()
    model, (expected,) = check(timm.create_model("resnet18"), places, x)
    model.zero_grad()
    model.set_grad_checkpointing()
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    out = model(x)
    torch.testing.assert_close(out, expected)
    out.sum().backward()
    assert model.plugin_modules()[0].theta.conv.weight.grad.abs().max() > 0


def test_ultralytics_before_and_after_it_is_fused():
    pytest.importorskip("ultralytics")
    from ultralytics.nn.tasks import DetectionModel

    x = torch.rand(1, 3, 64, 96)
    model = DetectionModel("yolo11n.yaml", verbose=False)
    # A Conv, whose forward fusing replaces, and a block.
    model, expected = check(model, [dict(after="model.1"), dict(after="model.8")], x)
    model.fuse(verbose=False)
    assert model.is_fused()
    for ours, theirs in zip(tensors(model(x)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)
    calls = []
    for plugin in model.plugin_modules():
        plugin.register_forward_hook(lambda *_: calls.append(1))
    model(x)
    assert len(calls) == 2
