"""Plugins on the maps and modules of MMAction2's other backbones, which take clips."""

import pytest
import torch
from mmengine.registry import DefaultScope
from plugged_models import NL, build, stock_of

from nlse_mm.placement.plugged_model import list_maps

pytest.importorskip("mmaction")

NL3D = dict(type="nlse_mm.NonLocal3d", sub_sample=True, norm_cfg=dict(type="BN3d"))
SE = dict(type="nlse_mm.SELayer", zero_init=True)
C2D = dict(base="C2D", depth=18)
CSN = dict(base="ResNet3dCSN", depth=50, pretrained=None, base_channels=8)
R2PLUS1D = dict(
    base="ResNet2Plus1d",
    depth=18,
    pretrained=None,
    pretrained2d=False,
    base_channels=8,
    conv_cfg=dict(type="Conv2plus1d"),
)
SWIN = dict(base="SwinTransformer3D", arch=dict(embed_dims=24, depths=(1,) * 4))
SWIN["arch"]["num_heads"] = (1, 2, 3, 4)
SWIN |= dict(pretrained=None, out_indices=(0, 1, 2, 3))
TIMESFORMER = dict(
    base="TimeSformer",
    num_frames=8,
    img_size=224,
    patch_size=32,
    embed_dims=24,
    num_heads=2,
    num_transformer_layers=1,
)
TSM = dict(base="ResNetTSM", depth=18)
X3D = dict(base="X3D", gamma_w=1, gamma_b=2.25, gamma_d=1)


@pytest.fixture(autouse=True)
def _in_mmaction():
    import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)

    with DefaultScope.overwrite_default_scope("mmaction"):
        yield


def clip():
    return torch.rand(1, 3, 8, 64, 96)


@pytest.mark.parametrize(
    ("given", "place", "channels"),
    [
        (C2D, dict(output=0), 512),
        (C2D, dict(after="maxpool3d_2"), 64),
        (CSN, dict(after="layer3.1"), 128),
        (R2PLUS1D, dict(output=-1), 64),
        (SWIN, dict(output=2), 96),
        (X3D, dict(output=0), 432),
        (X3D, dict(after="layer2"), 48),
    ],
)
@pytest.mark.parametrize("cfg", [NL3D, SE], ids=["nl", "se"])
def test_a_plugin_on_a_volume_starts_as_the_identity(given, place, channels, cfg):
    model = build(dict(cfg=cfg, **place), **given)
    (plugin,) = model.plugin_modules()
    assert plugin.in_channels == channels
    stock, x = stock_of(model, **given), clip()
    with torch.no_grad():
        pairs = zip(list_maps(model(x)), list_maps(stock(x)), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_frames_as_the_images_of_a_batch_get_a_plugin_for_images():
    model = build(dict(cfg=NL, output=0), **TSM)
    stock = stock_of(model, **TSM)
    frames = torch.rand(8, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model(frames), stock(frames))


@pytest.mark.parametrize(
    ("given", "cfg", "said"),
    [
        (X3D, NL, r"shape \(1, 432, 8, 2, 3\), on which NonLocal2d does not run"),
        (TIMESFORMER, NL3D, r"TimeSformer gives at output=0 is .* not a map of shape"),
    ],
)
def test_what_can_not_be_placed_ends_in_a_sentence(given, cfg, said):
    with pytest.raises(ValueError, match=said):
        build(dict(cfg=cfg, output=0), **given)


def test_a_model_that_runs_on_no_clip_ends_in_a_sentence():
    with pytest.raises(ValueError, match=r"did not run on clips of 8 or 16 frames, so"):
        build(dict(cfg=NL3D, output=0), base="RGBPoseConv3D")
