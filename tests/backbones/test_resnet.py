"""The toolboxes' ResNets by our names: the stock classes, with all their arguments."""

import copy

import pytest
from plugged_resnets import PAPER, RES4, baseline_of, build, entry, outputs, same


def test_without_plugins_it_is_the_stock_class(toolbox):
    assert type(build(None)) is type(build(None, name=f"{toolbox}.ResNet"))
    assert isinstance(build([entry()]), type(build(None)))


@pytest.mark.parametrize("position", ["after_conv1", "after_conv2"])
def test_plugins_get_the_width_of_a_resnext(toolbox, position):
    backbone = build(
        [entry(position)], depth=50, name="nlse_mm.ResNeXt", groups=32, base_width=4
    )
    assert backbone.layer3[4].nonlocal_block.in_channels == 512
    stock = baseline_of(backbone, toolbox, 50, "ResNeXt", groups=32, base_width=4)
    assert same(outputs(backbone), outputs(stock))


def test_the_stock_class_takes_our_plugins(toolbox):
    entries = [dict(cfg=PAPER, stages=RES4, position="after_conv3")]
    stock = build(entries, depth=50, name=f"{toolbox}.ResNet")
    stock.init_weights()
    assert same(outputs(stock), outputs(baseline_of(stock, toolbox, 50)))


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(style="caffe", dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
        dict(deep_stem=True, avg_down=True),
        dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)),
        dict(zero_init_residual=False, norm_cfg=dict(type="GN", num_groups=32)),
        dict(
            dcn=dict(type="DCN", deform_groups=1, fallback_on_stride=False),
            stage_with_dcn=(False, True, True, True),
        ),
    ],
    ids=["caffe dilated", "deep stem", "three stages", "GN", "DCN"],
)
def test_the_arguments_of_the_stock_class_go_through(toolbox, kwargs):
    stages = RES4[: kwargs.get("num_stages", 4)]
    backbone = build([entry(stages=stages)], depth=50, **copy.deepcopy(kwargs))
    backbone.init_weights()
    stock = baseline_of(backbone, toolbox, 50, **kwargs)
    assert same(outputs(backbone), outputs(stock))


def test_v1d_and_v1c_are_the_toolboxs_own(toolbox):
    for name in ("ResNetV1d", "ResNetV1c"):
        if (name, toolbox) == ("ResNetV1c", "mmdet"):
            with pytest.raises(KeyError, match="deep_stem=True"):
                build([entry()], name=f"nlse_mm.{name}")
            continue
        backbone = build([entry()], name=f"nlse_mm.{name}")
        assert same(
            outputs(backbone), outputs(baseline_of(backbone, toolbox, name=name))
        )
