"""A Cityscapes checkpoint isn't tested on COCO, but may be the start of a training."""

import pytest

pytest.importorskip("mmseg")

from mmengine.registry import MODELS, DefaultScope
from torch import nn

from nlse_mm.checkpoint import check_coverage
from nlse_mm.errors import CheckpointError


def model(num_classes):
    """Enough convolutions beside the classifier for 90% of the keys to match."""
    cfg = dict(
        type="nlse_mm.NLHead",
        in_channels=8,
        channels=8,
        norm_cfg=dict(type="BN"),
        num_classes=num_classes,
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        return nn.ModuleDict(dict(decode_head=MODELS.build(cfg)))


def test_the_classifiers_shapes_are_named_in_one_sentence():
    sentence = (
        r"^city.pth is of a model with another number of classes or channels: its "
        r"decode_head.conv_seg.bias is \(19,\), the model's is \(171,\) \("
    )
    with pytest.raises(CheckpointError, match=sentence):
        check_coverage(model(171), model(19).state_dict(), "city.pth", testing=True)


def test_it_may_be_trained_on_and_the_same_classes_may_be_tested():
    check_coverage(model(171), model(19).state_dict(), "city.pth")
    check_coverage(model(19), model(19).state_dict(), "city.pth", testing=True)
