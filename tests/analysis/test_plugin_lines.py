"""A config is taken apart into its baseline and its plugin lines."""

import copy

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from nlse_mm.analysis.plugin_lines import describe, split

LINE = dict(
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
        backbone=dict(type=backbone, depth=50, plugins=[LINE, GATE], **kwargs),
        roi_head=dict(keypoint_head=dict(plugins=[HEAD])),
    )


def test_each_line_stands_alone_on_the_baseline():
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
    assert first["backbone"]["plugins"] == [LINE]
    assert second["backbone"]["plugins"] == [GATE]
    assert third["backbone"]["plugins"] == []
    assert third["roi_head"]["keypoint_head"]["plugins"] == [HEAD]


def test_the_layers_of_an_se_resnet_count_as_a_line():
    given = model("nlse_mm.SEResNet", reduction=4, se_position="pre")
    baseline, added = split(given)
    assert baseline["backbone"] == dict(type="nlse_mm.ResNet", depth=50, plugins=[])
    assert len(added) == 4
    assert added["SE pre"]["backbone"] == dict(
        type="nlse_mm.SEResNet", depth=50, reduction=4, se_position="pre"
    )


def test_the_same_line_twice_is_two_lines():
    given = dict(backbone=dict(type="nlse_mm.ResNet", depth=50, plugins=[LINE, LINE]))
    assert len(split(given)[1]) == 2


@pytest.mark.parametrize("key", ["output", "after"])
def test_lines_of_with_plugins_say_where(key):
    line = dict(cfg=dict(type="nlse_mm.SELayer"), **{key: 2})
    assert describe(line) == f"SELayer {key}=2"


def test_what_comes_apart_builds(in_mmdet):
    lines = [dict(cfg=dict(type="nlse_mm.SELayer"), output=1)]
    swin = dict(embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1))
    swin = dict(
        type="nlse_mm.WithPlugins", base="SwinTransformer", plugins=lines, **swin
    )
    trunk = dict(type="nlse_mm.SEResNet", depth=18, base_channels=16)
    for backbone, layers in ((swin, 1), (trunk, 8)):
        baseline, added = split(Config(dict(model=dict(backbone=backbone))).model)
        (alone,) = added.values()
        counts = [
            sum("se_layer" in n.split(".")[-1] for n, _ in m.named_modules())
            for m in (MODELS.build(part["backbone"]) for part in (baseline, alone))
        ]
        assert counts == [0, layers]
