"""A config is taken apart into its baseline and its plugin entries."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from nlse_mm.analysis.plugin_entries import describe, split

ENTRY = dict(
    cfg=dict(type="nlse_mm.NonLocal2d"),
    stages=(False, False, True, False),
    blocks=(-2,),
    position="after_block",
)
GATE = dict(cfg=dict(type="nlse_mm.SELayer"), position="after_conv3")
HEAD = dict(cfg=dict(type="nlse_mm.NonLocal2d"), after_convs=(1, 3))


def model(backbone="nlse_mm.ResNet", **kwargs):
    return dict(
        type="MaskRCNN",
        backbone=dict(type=backbone, depth=50, plugins=[ENTRY, GATE], **kwargs),
        roi_head=dict(keypoint_head=dict(plugins=[HEAD])),
    )


def test_each_entry_stands_alone_on_the_baseline():
    given = model()
    before = copy.deepcopy(given)
    baseline, added = split(given)
    assert given == before
    assert baseline["backbone"]["plugins"] == []
    assert baseline["roi_head"]["keypoint_head"]["plugins"] == []
    assert list(added) == [
        "backbone NonLocal2d after_block res4[-2]",
        "backbone SELayer after_conv3 res2 res3 res4 res5",
        "roi_head keypoint_head NonLocal2d after_convs=(1, 3)",
    ]
    first, second, third = added.values()
    assert first["backbone"]["plugins"] == [ENTRY]
    assert second["backbone"]["plugins"] == [GATE]
    assert third["backbone"]["plugins"] == []
    assert third["roi_head"]["keypoint_head"]["plugins"] == [HEAD]


def test_the_layers_of_an_se_resnet_count_as_an_entry():
    given = model("nlse_mm.SEResNet", reduction=4, se_position="pre")
    baseline, added = split(given)
    assert baseline["backbone"] == dict(type="nlse_mm.ResNet", depth=50, plugins=[])
    assert len(added) == 4
    assert added["SE pre"]["backbone"] == dict(
        type="nlse_mm.SEResNet", depth=50, reduction=4, se_position="pre", plugins=[]
    )


def test_the_same_entry_twice_is_two_entries():
    given = dict(backbone=dict(type="nlse_mm.ResNet", depth=50, plugins=[ENTRY, ENTRY]))
    assert len(split(given)[1]) == 2


@pytest.mark.parametrize("key", ["output", "after"])
def test_entries_of_with_plugins_say_where(key):
    entry = dict(cfg=dict(type="nlse_mm.SELayer"), **{key: 2})
    assert describe(entry) == f"SELayer {key}=2"


def test_an_se_backbone_anywhere_has_its_own_entry():
    given = dict(detector=model("nlse_mm.SEResNeXt"), teacher=[model()])
    baseline, added = split(given)
    plain = dict(type="nlse_mm.ResNeXt", depth=50, plugins=[], groups=32, base_width=4)
    assert baseline["detector"]["backbone"] == plain
    first, *others = added
    assert first == "detector backbone SE standard"
    assert others[0].startswith("detector backbone NonLocal2d")
    assert others[3].startswith("teacher 0 backbone NonLocal2d")
    kept = dict(type="nlse_mm.SEResNeXt", groups=8)
    assert split(kept)[0] == dict(type="nlse_mm.ResNeXt", groups=8, base_width=4)


def test_what_comes_apart_builds(in_mmdet):
    entries = [dict(cfg=dict(type="nlse_mm.SELayer"), output=1)]
    swin = dict(embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1))
    swin = dict(
        type="nlse_mm.WithPlugins", base="SwinTransformer", plugins=entries, **swin
    )
    resnet = dict(type="nlse_mm.SEResNet", depth=18, base_channels=16)
    for backbone, layers in ((swin, 1), (resnet, 8)):
        baseline, added = split(Config(dict(model=dict(backbone=backbone))).model)
        (alone,) = added.values()
        assert [se_layers(part) for part in (baseline, alone)] == [0, layers]


def se_layers(model):
    modules = MODELS.build(model["backbone"]).named_modules()
    return sum("se_layer" in name.split(".")[-1] for name, _ in modules)


def test_senet_154_without_its_se_layers_lacks_them_alone(toolbox):
    backbone = dict(type="nlse_mm.SENet", pool_ceil_mode=True, reduction=32)
    backbone["frozen_stages"] = 1
    with torch.device("meta"):
        baseline, added = split(dict(backbone=backbone))
        own, plain = (
            MODELS.build(part["backbone"]) for part in (added["SE standard"], baseline)
        )
    lacking = own.state_dict().keys() - plain.state_dict().keys()
    assert {name.split(".")[2] for name in lacking} == {"se_layer"}
    assert plain.state_dict().keys() <= own.state_dict().keys()
    assert plain.maxpool.ceil_mode
    trained = {name for name, p in own.named_parameters() if p.requires_grad}
    assert {n for n, p in plain.named_parameters() if p.requires_grad} <= trained
    # Two layers for each of the widths, from C to D and back, both with biases.
    widths = ((3, 256, 8), (8, 512, 16), (36, 1024, 32), (3, 2048, 64))
    gates = sum(n * (2 * c * d + d + c) for n, c, d in widths)
    counts = [sum(p.numel() for p in m.parameters()) for m in (own, plain)]
    assert counts[0] - counts[1] == gates
    # The published network has 115,088,984 parameters: its classifier has 2,049 x 1,000
    # of them, and layers of reduction 16 almost twice as many as these.
    sixteen = sum(n * (2 * c * 2 * d + 2 * d + c) for n, c, d in widths)
    assert counts[1] == 115_088_984 - 2_049_000 - sixteen


def test_senet_154_without_its_se_layers_takes_plugin_entries(in_mmdet):
    backbone = dict(type="nlse_mm.SENet", plugins=[ENTRY])
    alone = split(dict(backbone=backbone))[1][
        "backbone NonLocal2d after_block res4[-2]"
    ]
    with torch.device("meta"):
        built = MODELS.build(alone["backbone"])
    assert built.layer3[-2].nonlocal_block.in_channels == 1024
    assert se_layers(alone) == 0
