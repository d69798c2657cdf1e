"""A checkpoint of another model is recognised by its keys."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS as ALL_MODELS
from mmengine.registry import DefaultScope
from torch import nn

from nlse_mm.checkpoint import check_coverage
from nlse_mm.errors import CheckpointError
from nlse_mm.registry import MODELS


def mask_rcnn(name, **head):
    """The detector of a config, without memory: only keys and shapes."""
    pytest.importorskip("mmdet")
    config = Config.fromfile(f"configs/{name}.py").model
    config.backbone.pop("init_cfg", None)
    config.roi_head.bbox_head.update(head)
    config.roi_head.mask_head.update(head)
    with DefaultScope.overwrite_default_scope("mmdet"), torch.device("meta"):
        return ALL_MODELS.build(config)


@pytest.fixture(scope="module")
def r50():
    return mask_rcnn("mask_rcnn_r50")


def refusal(model, state_dict, testing=True, **stage):
    with pytest.raises(CheckpointError) as caught:
        check_coverage(model, state_dict, "a.pth", testing=testing, **stage)
    message = str(caught.value)
    assert message.startswith("a.pth ")
    assert message.endswith(
        "(--cfg-options check_weights=False goes on with a warning)"
    )
    assert "\n" not in message
    return message


def another(model, state_dict, **stage):
    message = refusal(model, state_dict, **stage)
    assert message.startswith("a.pth is a checkpoint of another model: ")
    return message


def test_its_own_checkpoint_matches_in_every_key(r50, log):
    check_coverage(r50, r50.state_dict(), "a.pth")
    keys = sum("num_batches" not in k for k in r50.state_dict())
    assert log == [f"a.pth: {keys} of the model's {keys} keys match"]


def test_the_baselines_checkpoint_fits_a_model_with_plugins(r50, log):
    model = mask_rcnn("mask_rcnn_r50_nl")
    check_coverage(model, dict(state_dict=r50.state_dict()), "a.pth")
    assert len(log) == 2
    # theta, phi, g with weight and bias; conv_out's weight; the four of its BN.
    assert log[1].endswith("plugins: backbone.layer3.4.nonlocal_block (11 keys)")


def test_a_checkpoint_with_the_plugin_counts_its_keys(r50, log):
    model = mask_rcnn("mask_rcnn_r50_nl")
    check_coverage(model, model.state_dict(), "a.pth")
    assert len(log) == 1
    check_coverage(r50, model.state_dict(), "a.pth")
    assert "unexpected keys" in log[-1]
    assert "and 5 more" in log[-1]


def test_another_depth_is_another_model_both_ways(r50):
    r101 = mask_rcnn("mask_rcnn_r101")
    deeper = another(r50, r101.state_dict())
    keys = sum("num_batches" not in k for k in r50.state_dict())
    assert f"{keys} of the model's {keys} keys match, and 255 of its own" in deeper
    assert "layers that the model lacks, such as backbone.layer3.10." in deeper
    shallower = another(r101, r50.state_dict())
    assert re.search(r"\b307 of the model's 562 keys match", shallower)


def test_another_width_is_another_model(r50):
    another(r50, mask_rcnn("mask_rcnn_x152").state_dict())


def test_what_a_test_refuses_a_training_starts_from_with_a_warning(r50, log):
    r101 = mask_rcnn("mask_rcnn_r101")
    check_coverage(r101, r50.state_dict(), "a.pth")
    assert re.match(
        r"a.pth: only 307 of the model's 562 keys match; missing keys: ", log[0]
    )
    check_coverage(r50, r101.state_dict(), "a.pth")
    assert "unexpected keys: backbone.layer3.10." in log[-1]
    backbone = {k: v for k, v in r50.state_dict().items() if k.startswith("backbone.")}
    del log[:]
    check_coverage(r50, backbone, "a.pth")
    assert "missing keys: all of neck, roi_head, rpn_head" in log[0]


def test_a_training_is_refused_that_would_gain_nothing(r50):
    nothing = {"conv1.weight": torch.ones(1)}
    assert "0 of the model's 307 keys match" in another(r50, nothing, testing=False)


@pytest.mark.parametrize("name", ["mask_rcnn_r50", "mask_rcnn_r101"])
def test_a_segmentation_checkpoint_is_another_model(name):
    pytest.importorskip("mmseg")
    model = mask_rcnn(name)
    with DefaultScope.overwrite_default_scope("mmseg"), torch.device("meta"):
        other = ALL_MODELS.build(
            dict(
                type="EncoderDecoder",
                backbone=dict(type="ResNetV1c", depth=int(name[-3:].strip("r"))),
                decode_head=dict(
                    type="FCNHead", in_channels=2048, channels=512, num_classes=133
                ),
            )
        )
    message = another(model, other.state_dict())
    all_of = (
        "missing keys: all of backbone.bn1, backbone.conv1, neck, roi_head, rpn_head ("
    )
    assert all_of in message


def test_a_backbone_alone_is_sent_to_init_cfg(r50):
    weights = {k: v for k, v in r50.state_dict().items() if k.startswith("backbone.")}
    assert "model.backbone.init_cfg" in another(r50, weights)
    bare = {k.removeprefix("backbone."): v for k, v in weights.items()}
    for testing in (True, False):
        message = another(r50, bare, testing=testing)
        assert "0 of the model's" in message
        assert "model.backbone.init_cfg" in message
    both = dict(r50.state_dict(), **{"backbone.layer1.0.conv1.weight": torch.ones(1)})
    assert "init_cfg" not in refusal(r50, both)


def test_another_number_of_classes_is_the_same_model(r50, log):
    check_coverage(mask_rcnn("mask_rcnn_r50", num_classes=5), r50.state_dict(), "a.pth")
    assert "a.pth: keys of another shape: roi_head.bbox_head.fc_cls.bias" in log[-1]


def test_one_head_of_several_may_be_absent_in_training_and_not_in_a_test(r50, log):
    config = Config.fromfile("configs/keypoint_rcnn_r50.py").model
    config.backbone.pop("init_cfg")
    with DefaultScope.overwrite_default_scope("mmdet"), torch.device("meta"):
        model = ALL_MODELS.build(config)
    weights = model.state_dict()
    detector = {k: v for k, v in weights.items() if "keypoint_head" not in k}
    check_coverage(model, detector, "a.pth")
    assert "a.pth: missing keys: roi_head.keypoint_head.convs" in log[-1]
    check_coverage(model, weights, "a.pth", testing=True)
    with pytest.raises(
        CheckpointError, match=r"missing keys: all of roi_head\.keypoint_head "
    ):
        check_coverage(model, detector, "a.pth", testing=True)


def test_prefixes_of_distributed_training_do_not_matter(log):
    model = nn.Sequential(nn.Linear(2, 2))
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = model
    weights = {f"module.{k}": v for k, v in model.state_dict().items()}
    check_coverage(wrapped, weights, "a.pth")
    assert log == ["a.pth: 2 of the model's 2 keys match"]


def test_plugins_are_known_by_mmcvs_names():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)
            self.affine_2 = MODELS.build(dict(type="nlse_mm.Affine", in_channels=2))
            self.named_otherwise = MODELS.build(
                dict(type="nlse_mm.Affine", in_channels=2)
            )

    model = Block()
    weights = nn.ModuleDict(dict(conv=model.conv)).state_dict()
    assert "missing keys: all of named_otherwise" in another(model, weights)
    weights["named_otherwise.scale"] = torch.tensor(1.0)
    check_coverage(model, weights, "a.pth")
