"""The SE configs: an SE layer in every block, nothing else but the weights' name."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from nlse_mm.config_file import read_config

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("in_mmdet")

# In the others, SE layers join a backbone that has weights of its own.
WITH_SE_WEIGHTS = sorted(
    path
    for path in (ROOT / "configs").glob("*_se*.py")
    if "se-plugin" not in path.stem and "hrnet" not in path.stem
)
MMDET = "mmdet::{}/{}_{}_coco.py"
AUTHORS = "timm://legacy_{}.in1k"  # Caffe's, which want ceil-mode pooling
# name, baseline, blocks, weights
CONFIGS = [
    ("faster_rcnn_r50_se_2x", "r50_fpn_2x", 16, "mmcls://se-resnet50"),
    ("faster_rcnn_r101_se_2x", "r101_fpn_2x", 33, "mmcls://se-resnet101"),
    ("mask_rcnn_r50_se", "r50_fpn_1x", 16, "mmcls://se-resnet50"),
    ("mask_rcnn_r101_se", "r101_fpn_1x", 33, "mmcls://se-resnet101"),
    (
        "mask_rcnn_x101_se",
        "x101-32x4d_fpn_1x",
        33,
        AUTHORS.format("seresnext101_32x4d"),
    ),
    ("mask_rcnn_senet154", "r50_fpn_1x", 50, AUTHORS.format("senet154")),
    ("mask_rcnn_r50_se_nl", "r50_fpn_1x", 16, "mmcls://se-resnet50"),
]
NAMES = [c[0] for c in CONFIGS]


def load(name):
    return read_config(ROOT / "configs" / f"{name}.py")


def backbone(config):
    return MODELS.build({**config.model.backbone, "init_cfg": None})


@pytest.mark.parametrize(("name", "_", "blocks", "__"), CONFIGS, ids=NAMES)
def test_every_block_has_an_se_layer(name, _, blocks, __):
    modules = dict(backbone(load(name)).named_modules())
    of_blocks = [n for n in modules if n.endswith(".conv3")]
    layers = [n for n in modules if n.endswith(".se_layer")]
    assert len(layers) == blocks
    assert [n.rpartition(".")[0] for n in layers] == [
        n.rpartition(".")[0] for n in of_blocks
    ]


@pytest.mark.parametrize(("name", "baseline", "_", "weights"), CONFIGS, ids=NAMES)
def test_only_the_backbone_differs_from_the_baseline(name, baseline, _, weights):
    folder, family = (sign.join(name.split("_")[:2]) for sign in "_-")
    ours = load(name)
    base = MMDET.format(folder, family, baseline)
    theirs = Config.fromstring(f"_base_ = {base!r}", ".py")
    ours, theirs = ours.to_dict(), theirs.to_dict()
    own, stock = ours["model"].pop("backbone"), theirs["model"].pop("backbone")
    assert ours == theirs
    assert own.pop("init_cfg") == dict(type="Pretrained", checkpoint=weights)
    assert own.pop("pool_ceil_mode", False) == weights.startswith("timm://legacy")
    changed = {"type", "init_cfg", "plugins"}
    if "senet" in name:
        changed.add("depth")
    assert {k: v for k, v in own.items() if k not in changed} == {
        k: v for k, v in stock.items() if k not in changed
    }


def test_the_config_of_both_adds_the_non_local_configs_block():
    both = load("mask_rcnn_r50_se_nl").model.backbone
    assert both.plugins == load("mask_rcnn_r50_nl").model.backbone.plugins
    names = [n for n, _ in backbone(load("mask_rcnn_r50_se_nl")).named_modules()]
    assert [n for n in names if n.endswith("nonlocal_block")] == [
        "layer3.4.nonlocal_block"
    ]


@pytest.mark.parametrize("name", ["mask_rcnn_r18_se", "mask_rcnn_r18_se_nl"])
def test_the_tiny_ones_have_eight_se_layers_that_train(name):
    built = backbone(load(f"tiny/{name}"))
    layers = [m for n, m in built.named_modules() if n.endswith("se_layer")]
    assert len(layers) == 8
    assert all(p.requires_grad for layer in layers for p in layer.parameters())
    assert hasattr(built.layer3[0], "nonlocal_block") == name.endswith("nl")


@pytest.mark.parametrize("path", WITH_SE_WEIGHTS, ids=lambda path: path.stem)
def test_images_are_prepared_as_for_the_weights(path):
    """docs/weights.md: RGB on a scale to 255, ImageNet's mean and deviation."""
    model = load(path.stem).model
    assert model.backbone.type.startswith("nlse_mm.SE")
    assert model.backbone.init_cfg.checkpoint.startswith(("mmcls://se-", "timm://"))
    given = model.data_preprocessor
    assert given.mean == [123.675, 116.28, 103.53]
    assert given.std == [58.395, 57.12, 57.375]
    assert given.bgr_to_rgb
