"""WithPlugins: any backbone or neck, a plugin on an output or after a module."""

import copy
import pickle

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

NL = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
DOUBLE = dict(type="nlse_mm.Affine", scale=2.0)
SWIN = dict(
    base="SwinTransformer",
    embed_dims=24,
    depths=(1, 1, 1, 1),
    num_heads=(1, 2, 3, 4),
)
R18 = dict(base="ResNet", depth=18, base_channels=8)


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


@pytest.mark.parametrize("kwargs", [SWIN, R18], ids=["swin", "resnet"])
def test_only_the_chosen_output_changes(toolbox, kwargs):
    model = build(dict(cfg=DOUBLE, output=2), **kwargs)
    stock = stock_of(model, **kwargs)
    x = image()
    for i, (a, b) in enumerate(zip(model(x), stock(x), strict=True)):
        assert torch.equal(a, 2 * b if i == 2 else b)


@pytest.mark.parametrize("after", ["layer3", "layer3.1", "maxpool"])
def test_a_plugin_after_a_module_runs_once(toolbox, after):
    model = build(dict(cfg=DOUBLE, after=after), **R18).eval()
    seen = []
    model.get_submodule(
        f"affine_after_{after.replace('.', '_')}"
    ).register_forward_hook(lambda *args: seen.append(args[2]))
    model(image())
    assert len(seen) == 1


def test_a_sequentials_output_is_doubled(toolbox):
    model = build(dict(cfg=DOUBLE, after="layer4"), **R18)
    stock = stock_of(model, **R18)
    x = image()
    assert torch.equal(model(x)[3], 2 * stock(x)[3])
    assert len(model.layer4) == 2


def test_nothing_is_renamed_and_the_class_stays(toolbox):
    model, stock = build(dict(cfg=NL, output=2), **SWIN), build(**SWIN)
    assert isinstance(model, type(stock))
    new = model.state_dict().keys() - stock.state_dict().keys()
    assert stock.state_dict().keys() <= model.state_dict().keys()
    assert {k.split(".")[0] for k in new} == {"nonlocal_block_output2"}


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_runs_its_own_plugin(toolbox, copied):
    model = build(dict(cfg=DOUBLE, after="layer4"), **R18).eval()
    twin, x = copied(model), image()
    assert torch.equal(twin(x)[3], model(x)[3])
    twin.affine_after_layer4.scale.data.fill_(3.0)
    torch.testing.assert_close(twin(x)[3], 1.5 * model(x)[3])


def test_a_neck_takes_plugins(in_mmdet):
    neck = dict(base="FPN", in_channels=[8, 16, 32, 64], out_channels=4, num_outs=5)
    model = build(dict(cfg=DOUBLE, output=-1), **neck)
    stock = stock_of(model, **neck)
    maps = [torch.rand(1, 8 << i, 32 >> i, 48 >> i) for i in range(4)]
    assert torch.equal(model(maps)[4], 2 * stock(maps)[4])
    assert model.output_plugins == {4: ["affine_output4"]}


def test_the_trial_run_leaves_no_trace(toolbox):
    torch.manual_seed(3)
    stock = build(**R18)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model = build(dict(cfg=dict(DOUBLE), output=1), **R18)
    assert torch.equal(torch.rand(1), expected)
    for key, value in stock.state_dict().items():
        assert torch.equal(model.state_dict()[key], value)
    assert all(m.training for m in model.modules() if isinstance(m, nn.ReLU))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (dict(after="layer3.9"), "'layer3.1'"),
        (dict(after="layer3.0.bn1"), "norm layers and convolutions"),
        (dict(after="layer3.0.conv1"), "norm layers and convolutions"),
        (dict(after="layer3.0.relu"), "called 2 times"),
        (dict(output=4), "returns 4 maps, -4 to 3"),
        (dict(output=1, after="layer3"), "exactly one"),
        (dict(), "exactly one"),
        (dict(output=True), "not an integer"),
        (dict(output=1, position="after_block"), "'position'"),
    ],
)
def test_a_wrong_line_is_refused(toolbox, line, said):
    with pytest.raises(ValueError, match=r"plugins\[0\]") as error:
        build(dict(cfg=NL, **line), **R18)
    assert said in str(error.value)


def test_tokens_are_refused_with_a_way_out(toolbox):
    with pytest.raises(ValueError, match="output= takes"):
        build(dict(cfg=NL, after="stages.2.blocks.0"), **SWIN)
