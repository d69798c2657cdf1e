"""Plugins in a model that is built already: where they go, and the start."""

import copy

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from plain_models import (
    ENTRIES,
    ResNet,
    assert_equal,
    at_work,
    image,
    maps,
)
from plugged_models import DOUBLE, NL
from torch import nn

from nlse_mm import add_plugins
from nlse_mm.registry import MODELS as OURS

TOOLBOX_MODELS = dict(
    ResNet=(dict(depth=18), "layer3"),
    SwinTransformer=(dict(embed_dims=24, depths=(1,) * 4, num_heads=(1, 2, 3, 4)), ""),
    MobileNetV2=(dict(widen_factor=0.25), "layer5"),
    CSPDarknet=(dict(deepen_factor=0.33, widen_factor=0.125), "stage3"),
    PyramidVisionTransformerV2=(dict(embed_dims=8, num_layers=[1] * 4), ""),
)


@pytest.mark.parametrize("training", [False, True])
def test_at_the_start_only_keys_are_new(training):
    model = ResNet(maps).train(training)
    stock, parameters = copy.deepcopy(model), dict(model.named_parameters())
    assert add_plugins(model, ENTRIES, image()) is model
    x = image()
    assert_equal(model(x), stock(x))
    assert isinstance(model, ResNet)
    assert stock.state_dict().keys() < model.state_dict().keys()
    now = dict(model.named_parameters())
    assert all(now[name] is parameter for name, parameter in parameters.items())
    assert all(m.training is training for m in model.modules())


@pytest.mark.parametrize("base", TOOLBOX_MODELS)
def test_a_toolboxs_model_starts_as_it_was(in_mmdet, base):
    kwargs, after = TOOLBOX_MODELS[base]
    model = MODELS.build(dict(type=f"mmdet.{base}", **kwargs))
    model.init_weights()
    stock = copy.deepcopy(model)
    entries = [dict(cfg=NL, output=2)] + [dict(cfg=NL, after=after)] * bool(after)
    add_plugins(model, entries, image())
    assert stock.state_dict().keys() < model.state_dict().keys()
    x = image()
    stock.eval(), model.eval()
    assert_equal(model(x), stock(x))
    sum(out.sum() for out in model(x)).backward()
    for plugin in model.plugin_modules():
        assert plugin.conv_out.bn.weight.grad.abs().max() > 0


def test_gradients_reach_every_plugin():
    model = at_work(ResNet(maps)).train()
    sum(out.square().sum() for out in model(image())).backward()
    assert len(model.plugin_modules()) == len(ENTRIES)
    for plugin in model.plugin_modules():
        for parameter in plugin.parameters():
            assert parameter.grad.isfinite().all()
        assert any(p.grad.abs().max() > 0 for p in plugin.parameters())


def test_a_place_in_a_sequence_runs_before_that_of_the_sequence():
    add = dict(type="nlse_mm.Affine", shift=1.0)
    entries = [dict(cfg=DOUBLE, after="layer1"), dict(cfg=add, after="layer1.1")]
    model, x = ResNet(maps).eval(), torch.rand(1, 8, 9, 7)
    expected = 2 * (model.layer1(x) + 1)
    add_plugins(model, entries, image())
    assert torch.equal(model.layer1(x), expected)


def test_channels_that_an_entry_says_need_no_run():
    model, x = ResNet(maps).eval(), image()
    stock = copy.deepcopy(model)
    entries = [dict(cfg=NL, output=1, in_channels=32)]
    add_plugins(model, [*entries, dict(cfg=NL, after="layer3", in_channels=32)])
    assert_equal(model(x), stock(x))
    assert model.nonlocal_block_output1.in_channels == 32


def test_a_model_with_a_lazy_layer_takes_plugins():
    model = nn.Sequential(nn.LazyConv2d(8, 1), nn.ReLU())
    add_plugins(model, [dict(cfg=DOUBLE, after="1")], image())
    assert model(image()).shape[1] == 8


@pytest.mark.parametrize(
    ("conv", "plugin", "size"),
    [
        (nn.Conv1d, "NonLocal1d", (40,)),
        (nn.Conv3d, "NonLocal3d", (4, 16, 24)),
    ],
)
def test_signals_and_volumes_take_plugins(conv, plugin, size):
    model, x = nn.Sequential(conv(3, 16, 3), nn.ReLU()), torch.rand(1, 3, *size)
    # (N, C, L) may be tokens, unless the channels are said.
    said = dict(in_channels=16) if len(size) == 1 else {}
    entry = dict(cfg=dict(type=f"nlse_mm.{plugin}"), after="1", **said)
    add_plugins(model, [entry], x)
    assert model.plugin_modules()[0].in_channels == 16
    assert model(x).shape[1] == 16


def test_a_shared_module_has_two_paths():
    model, x = ResNet(maps).eval(), image()
    expected = model(x)[1]
    model.alias = model.layer3
    add_plugins(model, [dict(cfg=DOUBLE, after="alias")], x)
    assert torch.equal(model(x)[1], 2 * expected)


class Counting(nn.Module):
    """Counts its calls and draws random numbers, in evaluation too."""

    def __init__(self):
        super().__init__()
        self.conv, self.drop = nn.Conv2d(3, 8, 3), nn.Dropout()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.last = torch.rand(())
        return self.drop(self.conv(x))


def test_the_run_leaves_modes_buffers_and_random_numbers():
    model = Counting()
    model.drop.eval()
    last, state = model.last, torch.get_rng_state()
    add_plugins(model, [dict(cfg=DOUBLE, output=0)], torch.zeros(1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.calls == 0
    assert model.last is last
    assert (model.training, model.conv.training, model.drop.training) == (
        True,
        True,
        False,
    )


def test_a_second_call_adds_to_the_first():
    model, x = ResNet(maps).eval(), image()
    stock = copy.deepcopy(model)
    add_plugins(model, [dict(cfg=DOUBLE, output=1)], x)
    again = dict(DOUBLE, postfix="_again")
    add_plugins(model, [dict(cfg=again, output=1), dict(cfg=DOUBLE, output=2)], x)
    expected = stock(x)
    assert_equal(model(x), (expected[0], 4 * expected[1], 2 * expected[2]))
    assert model.plugin_names() == [
        "affine_output1",
        "affine_again_output1",
        "affine_output2",
    ]


class Initialised(BaseModule):
    """Somebody's own plugin, which its ``init_weights`` makes the identity."""

    def __init__(self, in_channels):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(in_channels, 1, 1))

    def init_weights(self):
        nn.init.ones_(self.scale)

    def forward(self, x):
        return self.scale * x


def test_a_plugin_of_ones_own_is_initialised_once():
    OURS.register_module(module=Initialised, force=True)
    model, x = ResNet(maps).eval(), image()
    expected = model(x)
    add_plugins(model, [dict(cfg=dict(type="nlse_mm.Initialised"), output=0)], x)
    assert_equal(model(x), expected)
    (plugin,) = model.plugin_modules()
    nn.init.zeros_(plugin.scale)  # as if trained
    around = BaseModule()
    around.backbone = model
    around.init_weights()
    assert not plugin.scale.any()


def test_plugins_take_the_dtype_and_the_device():
    model = add_plugins(ResNet(maps).bfloat16(), ENTRIES, image())
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    model = add_plugins(ResNet(maps).to("meta"), ENTRIES, image())
    assert all(p.is_meta for p in model.parameters())
