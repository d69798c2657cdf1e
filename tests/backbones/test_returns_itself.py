"""``train`` and ``eval`` return the backbone, as of any module of PyTorch."""

import copy
import pickle

import pytest
import torch
from mmengine.registry import MODELS

NL = dict(type="nlse_mm.NonLocal2d")
ENTRY = dict(cfg=NL, stages=(False, False, True, False), position="after_block")
SMALL = dict(base_channels=16, stem_channels=16)
SWIN = dict(
    base="SwinTransformer", embed_dims=24, depths=(1,) * 4, num_heads=(1, 2, 3, 4)
)
BACKBONES = {
    "ResNet": dict(depth=18, **SMALL),
    "ResNeXt": dict(depth=50, groups=2, **SMALL),
    "ResNetV1d": dict(depth=18, **SMALL),
    "SEResNet": dict(depth=50, **SMALL),
    "SEResNeXt": dict(depth=50, groups=2, **SMALL),
    "SENet": dict(),
    "SelfAttentionNet": dict(channels=18, strides=(8,), out_indices=(0,)),
    "WithPlugins": SWIN,
}


def build(name, plugged):
    kwargs = dict(BACKBONES[name])
    if name == "WithPlugins":
        kwargs["plugins"] = [dict(cfg=NL, output=2)] if plugged else []
    elif plugged:
        kwargs["plugins"] = [ENTRY]
    with torch.device("meta" if name == "SENet" else "cpu"):
        return MODELS.build(dict(type=f"nlse_mm.{name}", **kwargs))


@pytest.mark.parametrize("plugged", [False, True], ids=["plain", "plugged"])
@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_returns_itself(toolbox, name, plugged):
    if name == "SelfAttentionNet" and plugged:
        pytest.skip("it takes no plugins")
    backbone = build(name, plugged)
    copied = copy.deepcopy(backbone)
    pickled = pickle.loads(pickle.dumps(backbone))
    for one in (backbone, copied, pickled):
        assert one.eval() is one
        assert not one.training
        assert one.train() is one
        assert one.training
        assert one.train(False) is one
        assert type(one) is type(backbone)


def test_frozen_stages_stay_frozen(toolbox):
    backbone = MODELS.build(
        dict(type="nlse_mm.ResNet", depth=18, frozen_stages=1, norm_eval=True)
    )
    assert backbone.train().layer1[0].conv1.weight.requires_grad is False
    assert not backbone.layer2[0].bn1.training


def test_a_backbone_of_ours_is_a_base_without_plugins(toolbox):
    kwargs = dict(type="nlse_mm.WithPlugins", base="nlse_mm.ResNet", depth=18)
    plain = MODELS.build(dict(kwargs, plugins=[]))
    plugged = MODELS.build(dict(kwargs, plugins=[dict(cfg=NL, after="layer3")]))
    assert plain.eval() is plain
    assert plugged.eval() is plugged
