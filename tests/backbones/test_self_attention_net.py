"""The network of self-attention layers, and self-attention in a ResNet's place."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from nlse_mm.analysis import measure_heads
from nlse_mm.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


def build(**kwargs):
    return MODELS.build(dict(type="nlse_mm.SelfAttentionNet", **kwargs))


def test_the_papers_network_has_six_layers_of_nine_heads():
    net = build()
    assert [len(h.mean) for h in measure_heads(net)] == [9] * 6
    (out,) = net(torch.rand(1, 3, 32, 32))
    assert out.shape == (1, 400, 16, 16)
    assert not [m for m in net.modules() if getattr(m, "kernel_size", (1, 1)) != (1, 1)]


def test_a_pyramid_and_its_gradients():
    widths = (8, 8, 16)
    net = build(channels=widths, strides=(4, 1, 2), out_indices=(1, 2))
    outputs = net(torch.rand(2, 3, 16, 24))
    assert [o.shape for o in outputs] == [(2, 8, 4, 6), (2, 16, 2, 3)]
    sum(o.square().sum() for o in outputs).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    assert all(layer.attention.encoding.centre.grad.any() for layer in net.layers)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        (dict(channels=(8, 8)), "has not the length"),
        (dict(out_indices=(6,)), "holds 6; the layers are 0 to 5"),
        (dict(attention=dict(encoding="no")), "encoding='no' is not one of"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(kwargs, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(**kwargs)


def test_an_image_that_cannot_be_down_sampled_ends_in_a_sentence():
    with pytest.raises(ValueError, match="pad_size_divisor=4"):
        build(channels=8, strides=(4,), out_indices=(0,))(torch.rand(1, 3, 16, 18))


def test_a_resnets_convolutions_are_replaced_from_a_config(in_mmdet):
    config = Config.fromfile(CONFIGS / "mask_rcnn_r50_sa_res5.py")
    config.model.backbone.init_cfg = None
    backbone = MODELS.build(config.model.backbone)
    backbone.init_weights()
    names = [h.name for h in measure_heads(backbone)]
    assert names == [f"layer4.{i}.conv2" for i in range(3)]
    assert [backbone.layer4[i].conv2.stride for i in range(3)] == [2, 1, 1]
    outputs = backbone(torch.rand(1, 3, 64, 96))
    assert outputs[-1].shape == (1, 2048, 2, 3)


def test_the_mask_rcnn_on_it_builds(in_mmdet):
    config = Config.fromfile(CONFIGS / "mask_rcnn_sa6.py")
    model = MODELS.build(config.model)
    maps = model.extract_feat(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape[2:]) for m in maps[:4]] == [(16, 24), (8, 12), (4, 6), (2, 3)]
