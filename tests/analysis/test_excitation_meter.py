"""Gates by channel and class, of the right layers, also where a block fuses them."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from nlse_mm.analysis import ExcitationMeter, last_of_stages
from nlse_mm.plugins import SELayer


def test_the_last_layer_of_each_stage_of_a_backbone(toolbox):
    backbone = MODELS.build(dict(type="nlse_mm.SEResNet", depth=18))
    names = [f"backbone.layer{i}.1.se_layer" for i in (1, 2, 3, 4)]
    assert list(last_of_stages(nn.ModuleDict(dict(backbone=backbone)))) == names


def test_a_layer_outside_of_stages_stands_for_itself():
    model = nn.ModuleDict(
        dict(layer=nn.ModuleList([SELayer(16), SELayer(16)]), neck=SELayer(16))
    )
    assert list(last_of_stages(model)) == ["layer.0", "layer.1", "neck"]
    with pytest.raises(ValueError, match=r"Linear has no nlse_mm\.SELayer"):
        last_of_stages(nn.Linear(1, 1))


class Gate(nn.Module):
    """A layer of one's own, which doesn't say how many channels it has."""

    def excitation(self, x):
        return x.mean((2, 3)).sigmoid()

    def forward(self, x):
        return x * self.excitation(x)[:, :, None, None]


def test_a_layer_of_ones_own_is_measured_and_one_that_does_not_run_is_empty():
    model = nn.ModuleDict(dict(used=Gate(), unused=Gate()))
    meter = ExcitationMeter(last_of_stages(model), ["cat"])
    x = torch.randn(1, 5, 3, 4)
    with meter.measuring({"cat"}):
        model["used"](x)
    gate = x.mean((2, 3))[0].sigmoid()
    for c in ("all", "cat"):
        torch.testing.assert_close(meter.moments["used"][c].mean, gate.double())
    assert meter.moments["unused"] == {}


def test_mean_and_spread_equal_those_of_the_gates_by_class(in_mmdet):
    backbone = MODELS.build(
        dict(type="nlse_mm.SEResNet", depth=18, base_channels=16, reduction=2)
    )
    backbone.eval()
    layers = last_of_stages(backbone)
    meter = ExcitationMeter(layers, ["cat", "dog"])
    images = torch.randn(6, 3, 40, 56)
    shown = [{"cat"}, {"cat", "dog"}, {"bird"}, {"dog"}, {"cat"}, set()]
    plain = [backbone(x[None]) for x in images]
    with torch.no_grad():
        for x, classes, before in zip(images, shown, plain, strict=True):
            with meter.measuring(classes):
                after = backbone(x[None])
            # Bit for bit but for the fused end of a block, which rounds otherwise.
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    gates = {name: [] for name in layers}
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda m, x, y, name=name: gates[name].append(m.excitation(x[0])[0])
        )
    with torch.no_grad():
        for x in images:
            backbone(x[None])
    for name in layers:
        everything = torch.stack(gates[name]).double()
        of = {"all": range(6), "cat": [0, 1, 4], "dog": [1, 3]}
        assert set(meter.moments[name]) == set(of)
        for c, chosen in of.items():
            expected = everything[list(chosen)]
            moments = meter.moments[name][c]
            torch.testing.assert_close(moments.mean, expected.mean(0))
            torch.testing.assert_close(moments.std, expected.std(0), rtol=1e-5, atol=0)
