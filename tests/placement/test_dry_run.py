"""The trial run that finds a plugin's channels: what it tries, refuses and leaves."""

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from plugged_models import DOUBLE, NL, R18, SWIN, build, stock_of
from torch import nn

from nlse_mm.placement.dry_run import DryRun


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


def test_tokens_are_refused_with_a_way_out(toolbox):
    with pytest.raises(ValueError, match="output= takes"):
        build(dict(cfg=NL, after="stages.2.blocks.0"), **SWIN)


@pytest.mark.parametrize("how", ["vector", "tokens", "channels last", "map and maps"])
def test_an_output_that_is_no_map_is_refused(in_mmdet, how):
    with pytest.raises(ValueError, match=r"not a map of shape \(N, C, H, W\)"):
        build(dict(cfg=NL, output=0), base="nlse_mm.Returns", how=how)


def test_a_base_that_does_not_run_is_refused(in_mmdet):
    with pytest.raises(ValueError, match=r"did not run on images .*no_such_thing"):
        build(dict(cfg=NL, output=0), base="nlse_mm.Returns", how="nothing that runs")


def test_a_neck_that_takes_the_deepest_map_first_finds_its_channels(in_mmdet):
    neck = MODELS.build(
        dict(
            type="nlse_mm.WithPlugins",
            base="YOLOV3Neck",
            num_scales=3,
            in_channels=[64, 32, 16],  # of the maps given last, second, first
            out_channels=[32, 16, 8],
            plugins=[dict(cfg=dict(type="nlse_mm.SELayer", reduction=4), output=0)],
        )
    )
    assert neck.plugin_modules()[0].in_channels == 32


def test_a_neck_that_only_knows_its_width_gets_a_pyramid_of_it():
    pytest.importorskip("mmseg")
    neck = dict(base="Feature2Pyramid", embed_dim=6)
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = build(dict(cfg=DOUBLE, output=3), **neck)
        stock = stock_of(model, **neck)
    maps = [torch.rand(1, 6, 8, 8) for _ in range(4)]
    assert torch.equal(model(maps)[3], 2 * stock(maps)[3])


def test_a_neck_that_returns_what_it_takes_gets_five_maps(in_mmdet):
    neck = dict(base="DyHead", in_channels=16, out_channels=16, num_blocks=1)
    model = build(dict(cfg=DOUBLE, output=-1), **neck)
    stock = stock_of(model, **neck)
    maps = [torch.rand(1, 16, 64 >> i, 64 >> i) for i in range(5)]
    assert torch.equal(model(maps)[4], 2 * stock(maps)[4])


@pytest.mark.parametrize("clip", [(8, 64, 96), (16, 112, 112), (16, 224, 224)])
def test_3d_convolutions_get_the_clip_that_the_layers_behind_insist_on(clip):
    volume = nn.Conv3d(3, 4, 4, stride=8)
    size = 4 * (clip[0] // 8) * (clip[1] // 8) * (clip[2] // 8)
    model = nn.Sequential(volume, nn.Flatten(), nn.Linear(size, 2))
    run = DryRun(model, ["0"])
    assert run.size == clip[1:]
    assert run.returned["0"][0].shape[2:] == torch.Size(length // 8 for length in clip)


def test_a_clip_of_one_channel_is_no_image_of_its_own():
    run = DryRun(nn.Conv3d(1, 4, 3, padding=1), in_channels=1)
    assert run.output.shape == (1, 4, 8, 64, 96)
