"""The classifiers' configs: MMPretrain's recipes with one difference, the backbone."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

CONFIGS = Path(__file__).parents[2] / "configs"

pytestmark = pytest.mark.usefixtures("in_mmpretrain")

RECIPES = {
    "se-resnet50": "seresnet/seresnet50_8xb32",
    "se-resnet101": "seresnet/seresnet101_8xb32",
    "se-resnext50": "seresnet/seresnext50-32x4d_8xb32",
    "se-mobilenetv2": "mobilenet_v2/mobilenet-v2_8xb32",
    "se-shufflenetv1": "shufflenet_v1/shufflenet-v1-1x_16xb64",
    "se-vgg16bn": "vgg/vgg16bn_8xb32",
    "se-inceptionv3": "inception_v3/inception-v3_8xb32",
}
# The paper's, in millions: MobileNet (V1) 4.2 to 4.7, ShuffleNet 1.8 to 2.4.
PARAMETERS = {
    "se-resnet50": 28_088_024,
    "se-mobilenetv2": 3_548_536,
    "se-shufflenetv1": 2_526_184,
    "se-inceptionv3": 25_503_112,
}
# timm's name, and what the network is built with.
LEGACY = {
    "se-resnet50": ("SEResNet", 50, "caffe"),
    "se-resnet101": ("SEResNet", 101, "caffe"),
    "se-resnet152": ("SEResNet", 152, "caffe"),
    "se-resnext50": ("SEResNeXt", 50, "pytorch"),
    "se-resnext101": ("SEResNeXt", 101, "pytorch"),
    "senet154": ("SENet", 154, "pytorch"),
}


def load(read_config, name):
    return read_config(CONFIGS / f"{name}_imagenet.py")


@pytest.mark.parametrize("name", RECIPES)
def test_only_the_backbone_differs_from_mmpretrains(read_config, name):
    base = f"mmpretrain::{RECIPES[name]}_in1k.py"
    ours = load(read_config, name).to_dict()
    theirs = Config.fromstring(f"_base_ = {base!r}", ".py").to_dict()
    own, stock = ours["model"].pop("backbone"), theirs["model"].pop("backbone")
    assert ours == theirs
    if own["type"] == "nlse_mm.WithPlugins":
        (entry,) = own.pop("plugins")
        assert entry["cfg"] == dict(type="nlse_mm.SELayer")
        own["type"] = own.pop("base")
        assert own == stock
    else:
        assert own["type"] == f"nlse_mm.{stock['type']}"
        assert own.items() - {("type", own["type"])} <= stock.items()


def test_the_networks_of_digits_differ_by_se_at_the_end_of_each_branch(read_config):
    plain, own = (
        read_config(CONFIGS / "tiny" / f"{name}_digits.py")
        for name in ("resnet18", "se-resnet18")
    )
    built = MODELS.build(own.model)
    assert sum(p.numel() for p in built.parameters()) == 709_690
    layers = [n for n, m in built.backbone.named_modules() if hasattr(m, "excitation")]
    blocks = [f"layer{i}_{j}" for i in (1, 2, 3, 4) for j in (0, 1)]
    assert layers == [f"se_layer_after_{block}_drop_path" for block in blocks]
    (entry,) = own.model.backbone.pop("plugins")
    assert entry == dict(
        cfg=dict(type="nlse_mm.SELayer"), after="layer*.*.drop_path", in_branch=True
    )
    own.model.backbone.type = own.model.backbone.pop("base")
    assert own.to_dict() == plain.to_dict()


@pytest.mark.parametrize("name", PARAMETERS)
def test_its_parameters_are_those_that_its_header_says(read_config, name):
    model = MODELS.build(load(read_config, name).model)
    number = sum(p.numel() for p in model.parameters())
    assert number == PARAMETERS[name]
    if name != "se-resnet50":
        assert f"{number / 1e6:.2f}M" in (CONFIGS / f"{name}_imagenet.py").read_text()


@pytest.mark.parametrize("name", LEGACY)
def test_the_authors_networks_are_what_their_weights_want(read_config, name):
    config = load(read_config, f"legacy-{name}")
    cls, depth, style = LEGACY[name]
    backbone = config.model.backbone
    assert backbone.type == f"nlse_mm.{cls}"
    assert backbone.get("depth", 154) == depth
    assert backbone.get("style", "pytorch") == style
    assert backbone.pool_ceil_mode
    resized = [s for s in config.test_dataloader.dataset.pipeline if "Re" in s.type]
    assert [s.get("interpolation", "bilinear") for s in resized] == ["bilinear"]
    given = config.data_preprocessor
    assert given.mean == [123.675, 116.28, 103.53]
    assert given.std == [58.395, 57.12, 57.375]
    assert given.to_rgb


def test_se_shufflenet_trains(read_config):
    model = MODELS.build(load(read_config, "se-shufflenetv1").model)
    model.init_weights()
    layers = [m for n, m in model.named_modules() if "se_layer" in n.split(".")[-1]]
    assert len(layers) == 16
    features = model.extract_feat(torch.rand(2, 3, 64, 64))
    nn.functional.cross_entropy(
        model.head((features[-1],)), torch.tensor([1, 2])
    ).backward()
    assert all(p.grad is not None for m in layers for p in m.parameters())
