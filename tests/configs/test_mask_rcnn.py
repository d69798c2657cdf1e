"""The main configs: one block more than the baseline, in the paper's place."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("in_mmdet")


def load(name):
    config = Config.fromfile(ROOT / "configs" / f"{name}.py")
    config.model.backbone.init_cfg = None  # its weights are downloaded
    return config


def build(name, **test_cfg):
    config = load(name)
    config.model.test_cfg.rcnn.update(test_cfg)
    return MODELS.build(config.model)


def detections(model, size=(64, 96)):
    from mmdet.structures import DetDataSample

    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (1, 3, *size), generator=generator).float()
    sample = DetDataSample(
        metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1, 1))
    )
    model.eval()
    data = model.data_preprocessor(dict(inputs=[images[0]], data_samples=[sample]))
    with torch.no_grad():
        (result,) = model.predict(data["inputs"], data["data_samples"])
    return result.pred_instances


@pytest.mark.parametrize(
    ("backbone", "index", "blocks"), [("r50", 4, 6), ("r101", 21, 23), ("x152", 34, 36)]
)
def test_the_block_is_the_only_difference(backbone, index, blocks):
    baseline = build(f"mask_rcnn_{backbone}").state_dict()
    model = build(f"mask_rcnn_{backbone}_nl")
    assert len(model.backbone.layer3) == blocks
    added = {k: v for k, v in model.state_dict().items() if k not in baseline}
    prefix = f"backbone.layer3.{index}.nonlocal_block."
    assert baseline.keys() <= model.state_dict().keys()
    assert {k.removeprefix(prefix) for k in added} == {
        "g.0.conv.weight",
        "g.0.conv.bias",
        "theta.conv.weight",
        "theta.conv.bias",
        "phi.0.conv.weight",
        "phi.0.conv.bias",
        "conv_out.conv.weight",
        "conv_out.bn.weight",
        "conv_out.bn.bias",
        "conv_out.bn.running_mean",
        "conv_out.bn.running_var",
        "conv_out.bn.num_batches_tracked",
    }
    block = model.get_submodule(prefix.rstrip("."))
    # theta, phi and g with biases, the last convolution without, gamma and beta.
    expected = 3 * (1024 * 512 + 512) + 512 * 1024 + 2 * 1024
    assert sum(p.numel() for p in block.parameters()) == expected == 2_100_736


def test_detections_before_training_equal_the_baselines():
    # Untrained scores are near 1/81; a threshold of 0 keeps detections to compare.
    baseline = build("mask_rcnn_r50", score_thr=0.0)
    model = build("mask_rcnn_r50_nl", score_thr=0.0)
    model.init_weights()
    missing, unexpected = model.load_state_dict(baseline.state_dict(), strict=False)
    assert not unexpected
    assert all("nonlocal_block" in name for name in missing)
    ours, theirs = detections(model), detections(baseline)
    assert len(theirs) == 100
    for field in ("bboxes", "scores", "labels", "masks"):
        assert torch.equal(ours[field], theirs[field])


@pytest.mark.parametrize("backbone", ["r50", "r101", "x152"])
def test_everything_but_the_backbone_is_the_baselines(backbone):
    baseline = load(f"mask_rcnn_{backbone}").to_dict()
    config = load(f"mask_rcnn_{backbone}_nl").to_dict()
    for key in ("type", "plugins"):
        config["model"]["backbone"].pop(key)
        baseline["model"]["backbone"].pop(key, None)
    assert config == baseline
