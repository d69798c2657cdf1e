"""Our names in MMPretrain: its own classes, and all that their blocks do."""

import pytest
import torch
from mmengine.registry import MODELS
from plugged_resnets import NON_LOCAL, baseline_of, build, outputs, same
from torch import nn

pytestmark = pytest.mark.usefixtures("in_mmpretrain")

SMALL = dict(base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3))
ENTRY = dict(cfg=NON_LOCAL, stages=(False, False, True, False), blocks=(-1,))


def entries():
    return [dict(ENTRY, position="after_block"), dict(ENTRY, position="on_identity")]


def under(seed, backbone, train):
    torch.manual_seed(seed)
    return outputs(backbone, train)


def randomise(module):
    """Norms and biases under which every part of the network shows."""
    for name, value in module.state_dict().items():
        if value.dim() == 1 and "num_batches" not in name:
            nn.init.uniform_(value, 0.2, 0.8)


@pytest.mark.parametrize("name", ["ResNet", "ResNeXt", "ResNetV1c", "ResNetV1d"])
def test_a_new_plugin_changes_nothing_at_the_start(name):
    depth = 50 if name == "ResNeXt" else 18
    # A branch that starts at zero hides whether it is dropped.
    kwargs = dict(SMALL, drop_path_rate=0.4, zero_init_residual=False)
    ours = build(entries(), depth, f"nlse_mm.{name}", **kwargs)
    ours.init_weights()
    stock = baseline_of(ours, "mmpretrain", depth, name, **kwargs)
    assert isinstance(ours, type(stock))
    assert ours.layer3[-1].nonlocal_block_2 is not None
    for train in (False, True):
        assert same(under(1, ours, train), under(1, stock, train))
    assert not same(under(1, ours, True), under(2, ours, True))  # depth is stochastic


def test_without_plugins_it_is_mmpretrains_class():
    assert type(build(None)) is MODELS.get("mmpretrain.ResNet")


def test_a_bare_base_is_mmpretrains():
    kind = dict(type="nlse_mm.WithPlugins", base="MobileNetV2", plugins=[])
    assert type(MODELS.build(kind)) is MODELS.get("mmpretrain.MobileNetV2")


@pytest.mark.parametrize("words", ["base_width", "width_per_group"])
def test_both_words_for_the_width_of_a_group_are_known(words):
    backbone = MODELS.build(
        dict(type="nlse_mm.SEResNeXt", depth=50, groups=8, **{words: 2})
    )
    conv2 = backbone.layer1[0].conv2
    assert (conv2.groups, conv2.out_channels) == (8, 16)


def test_se_resnet_50_has_the_papers_parameters():
    model = dict(
        type="ImageClassifier",
        backbone=dict(type="nlse_mm.SEResNet", depth=50),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", num_classes=1000, in_channels=2048),
    )
    built = MODELS.build(model)
    assert sum(p.numel() for p in built.parameters()) == 28_088_024
    model["backbone"] = dict(type="SEResNet", depth=50)
    assert built.state_dict().keys() == MODELS.build(model).state_dict().keys()


@pytest.mark.parametrize("name", ["SEResNet", "SEResNeXt"])
def test_the_same_weights_give_mmpretrains_outputs(name):
    widths = dict(groups=4, base_channels=16) if name == "SEResNeXt" else SMALL
    theirs = MODELS.build(dict(type=f"mmpretrain.{name}", depth=50, **widths)).double()
    randomise(theirs)
    ours = MODELS.build(dict(type=f"nlse_mm.{name}", depth=50, **widths)).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for train in (False, True):
        with torch.set_grad_enabled(train):
            a, b = (outputs(m, train)[-1].detach() for m in (ours, theirs))
        assert b.std() > 1e-3
        torch.testing.assert_close(a, b, rtol=0, atol=1e-8 * float(b.abs().max()))


@pytest.mark.parametrize("family", ["timm", "timm-legacy"])
def test_published_weights_fill_its_deep_stem(named, renamed, family):
    """Theirs holds each norm beside its convolution, published ones number both."""
    legacy = family == "timm-legacy"
    kwargs = dict(SMALL, depth=50, deep_stem=True, pool_ceil_mode=legacy)
    kwargs["style"] = "caffe" if legacy else "pytorch"
    source = MODELS.build(dict(type="nlse_mm.SEResNet", **kwargs))
    weights = {numbered(k): v for k, v in source.state_dict().items()}
    weights = renamed(weights, family)
    init_cfg = dict(type="Pretrained", checkpoint=named(weights))
    ours = MODELS.build(dict(type="nlse_mm.SEResNet", init_cfg=init_cfg, **kwargs))
    ours.init_weights()
    found = ours.state_dict()
    assert all(torch.equal(v, found[k]) for k, v in source.state_dict().items())


def numbered(key):
    for i in range(3):
        key = key.replace(f"stem.{i}.conv.", f"stem.<{3 * i}>.")
        key = key.replace(f"stem.{i}.bn.", f"stem.<{3 * i + 1}>.")
    return key.replace("<", "").replace(">", "")
