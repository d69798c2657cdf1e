"""Plugins on what any model returns, or behind one of its modules."""

import copy
import pickle
import re

import pytest
import torch
from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn
from mmengine.model import BaseModule, revert_sync_batchnorm
from plugged_models import DOUBLE, NL, R18, SWIN, build, image, stock_of
from torch import nn


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
    model = build(dict(cfg=NL, after="layer4"), **R18).eval()
    nn.init.ones_(model.nonlocal_block_after_layer4.conv_out.bn.weight)
    twin, x = copied(model), image()
    ours = model(x)[3]
    assert torch.equal(twin(x)[3], ours)
    nn.init.zeros_(twin.nonlocal_block_after_layer4.conv_out.bn.weight)
    assert not torch.equal(twin(x)[3], ours)
    assert torch.equal(model(x)[3], ours)


def test_a_neck_takes_plugins(in_mmdet):
    neck = dict(base="FPN", in_channels=[8, 16, 32, 64], out_channels=4, num_outs=5)
    model = build(dict(cfg=DOUBLE, output=-1), **neck)
    stock = stock_of(model, **neck)
    maps = [torch.rand(1, 8 << i, 32 >> i, 48 >> i) for i in range(4)]
    assert torch.equal(model(maps)[4], 2 * stock(maps)[4])
    assert model.output_plugins == {4: ["affine_output4"]}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (dict(after="layer3.9"), "'layer3.1'"),
        (dict(after="LAYER3"), "near it are 'layer3', 'layer3."),
        (dict(after=""), "near it are 'layer1', 'layer2'"),
        (dict(after="layer3.0.bn1"), "norm layers and convolutions"),
        (dict(after="layer3.0.conv1"), "norm layers and convolutions"),
        (dict(after="layer3.0.relu"), "called 2 times"),
        (dict(output=4), "returns 4 maps, -4 to 3"),
        (dict(output=1, after="layer3"), "exactly one"),
        (dict(output=True), "not an integer"),
    ],
)
def test_a_wrong_place_is_refused(toolbox, entry, said):
    with pytest.raises(ValueError, match=r"plugins\[0\]") as error:
        build(dict(cfg=NL, **entry), **R18)
    assert said in str(error.value)


@pytest.mark.parametrize("after", ["layer3.7.conv2", "layer1.0.bn3", "conv", "x"])
def test_the_paths_named_as_near_are_places(in_mmdet, after):
    with pytest.raises(ValueError, match="near it are") as error:
        build(dict(cfg=NL, after=after), **R18)
    for near in re.findall(r"'([^']*)'", str(error.value).split("near it are")[1]):
        build(dict(cfg=NL, after=near), **R18)


def test_a_base_that_returns_more_in_training_says_so(in_mmdet):
    entry = dict(cfg=DOUBLE, output=0)
    model = build(entry, base="nlse_mm.Returns", how="more in training")
    with pytest.raises(RuntimeError, match="returns 2 maps in training"):
        model(image())


def test_a_base_that_no_trial_can_run_takes_the_channels_from_the_entry(in_mmdet):
    entry = dict(cfg=NL, output=0, in_channels=7)
    model = build(entry, base="nlse_mm.Returns", how="nothing that runs")
    assert model.plugin_modules()[0].in_channels == 7


@pytest.mark.parametrize("how", ["map", "maps by name"])
def test_a_plain_module_that_returns_one_map_or_a_dict(in_mmdet, how):
    base = dict(base="nlse_mm.Returns", how=how)
    model = build(dict(cfg=DOUBLE, output=-1), **base)
    stock, x = stock_of(model, **base), image()
    ours, theirs = model(x), stock(x)
    if how == "map":
        assert torch.equal(ours, 2 * theirs)
    else:
        assert torch.equal(ours["first"], theirs["first"])
        assert torch.equal(ours["second"], 2 * theirs["second"])


def test_a_class_token_beside_a_map_is_left_alone(in_mmdet):
    base = dict(base="nlse_mm.Returns", how="map and token")
    model = build(dict(cfg=DOUBLE, output=0), **base)
    stock, x = stock_of(model, **base), image()
    (ours,), (theirs,) = model(x), stock(x)
    assert torch.equal(ours[0], 2 * theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_entries_of_one_place_run_in_the_order_written(toolbox):
    add = dict(type="nlse_mm.Affine", shift=1.0)
    for place, name in (
        (dict(output=1), "output1"),
        (dict(after="layer2"), "after_layer2"),
    ):
        model = build(dict(cfg=DOUBLE, **place), dict(cfg=add, **place), **R18)
        stock, x = stock_of(model, **R18), image()
        assert torch.equal(model(x)[1], 2 * stock(x)[1] + 1)
        assert hasattr(model, f"affine_{name}_2")


@pytest.mark.parametrize("kwargs", [SWIN, R18], ids=["swin", "resnet"])
def test_the_start_is_the_bases_after_its_own_initialisation(toolbox, kwargs):
    places = [dict(output=-1)] + [dict(after="layer2")] * (kwargs is R18)
    model = build(*(dict(cfg=NL, **place) for place in places), **kwargs)
    model.init_weights()
    stock, x = stock_of(model, **kwargs), image()
    for a, b in zip(model(x), stock(x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("place", [dict(after="layer2"), dict(output=1)])
def test_plugins_train_in_frozen_stages(toolbox, place):
    frozen = dict(R18, frozen_stages=4, norm_eval=True)
    model = build(dict(cfg=NL, **place), **frozen)
    for mode in (True, False, True):
        model.train(mode)
    (plugin,) = model.plugin_modules()
    assert all(p.requires_grad for p in plugin.parameters())
    assert all(m.training for m in plugin.modules())
    assert not model.layer2[0].conv1.weight.requires_grad
    assert not model.layer2[0].bn1.training


def test_weights_that_are_loaded_are_not_initialised_again(toolbox, tmp_path):
    entry = dict(cfg=NL, after="layer2")
    trained = build(entry, **R18)
    for parameter in trained.parameters():
        nn.init.normal_(parameter)
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    loads = dict(type="Pretrained", checkpoint=str(tmp_path / "trained.pth"))
    model = build(entry, **R18, init_cfg=loads)
    model.init_weights()
    for key, value in trained.state_dict().items():
        assert torch.equal(model.state_dict()[key], value)


def test_a_plain_module_in_a_model_is_initialised(in_mmdet):
    model = build(dict(cfg=NL, output=0), base="nlse_mm.Returns", how="map")
    (plugin,) = model.plugin_modules()
    nn.init.ones_(plugin.conv_out.bn.weight)
    detector = BaseModule()
    detector.backbone = model
    detector.init_weights()
    assert not plugin.conv_out.bn.weight.any()


def test_conversion_fusion_and_tracing_keep_the_plugins_running(toolbox):
    entries = [dict(cfg=NL, after="layer3.0"), dict(cfg=DOUBLE, output=3)]
    model, x = build(*entries, **R18).eval(), image()
    nn.init.ones_(model.nonlocal_block_after_layer3_0.conv_out.bn.weight)
    expected = model(x)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))
    fused = fuse_conv_bn(revert_sync_batchnorm(converted))
    traced = torch.compile(model, fullgraph=True, backend="eager")
    for maps in (fused(x), traced(x)):
        for a, b in zip(maps, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    plain = torch.compile(build(**R18), fullgraph=True, backend="eager")
    plain.eval()
    assert not torch.equal(plain(x)[3], expected[3])


def test_there_are_no_hooks(toolbox):
    model = build(dict(cfg=NL, after="layer3"), dict(cfg=NL, output=1), **R18)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
