"""The hook looks at every data set of a loop before the first step."""

import logging
from types import SimpleNamespace

import pytest
from mmengine.registry import DATASETS
from torch import nn

from nlse_mm.engine import CheckAgreementHook
from nlse_mm.engine.user_error import UserError
from nlse_mm.registry import installed

pytestmark = [
    pytest.mark.skipif(not installed("mmdet"), reason="needs mmdet"),
    pytest.mark.usefixtures("in_mmdet"),
]


class BoxHead(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes


def train(train, val=None, **parts):
    """Call the hook as a Runner with these data sets does."""
    loops = [
        dataset and SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
        for dataset in (train, val)
    ]
    runner = SimpleNamespace(
        model=nn.ModuleDict(parts),
        logger=logging.getLogger("agreement"),
        cfg={},
        train_loop=loops[0],
        _train_loop=loops[0],
        _val_loop=loops[1],
        _test_loop=dict(type="TestLoop"),
    )
    CheckAgreementHook().before_train(runner)


def test_data_sets_in_wrappers_are_compared_each(coco, build):
    a = build(coco("a", "ring", "star"), "ring", "star")
    b = build(coco("b", "ring", "star", "cross"), "ring", "star", "cross")
    joined = DATASETS.build(dict(type="ConcatDataset", datasets=[a, b]))
    repeated = DATASETS.build(dict(type="RepeatDataset", dataset=a, times=2))
    train(repeated, bbox_head=BoxHead(2))
    key = r"train_dataloader\.dataset\.datasets\[1\] has 3 classes"
    with pytest.raises(UserError, match=key):
        train(joined, bbox_head=BoxHead(2))
    with pytest.raises(UserError, match=r"train_dataloader\.dataset\.dataset has 2"):
        train(repeated, bbox_head=BoxHead(3))


def test_joined_data_sets_must_number_a_class_alike(coco, build):
    files = coco("a", "ring", "star"), coco("b", "star", "ring")
    sets = [build(file, "ring", "star") for file in files]
    joined = DATASETS.build(dict(type="ConcatDataset", datasets=sets))
    words = r"'star' is number 0 in train_dataloader\.dataset\.datasets\[1\]"
    with pytest.raises(UserError, match=words):
        train(joined, bbox_head=BoxHead(2))
    with pytest.raises(UserError, match=r"'star' is number 0 in val_dataloader"):
        train(*sets, bbox_head=BoxHead(2))
    train(joined, sets[1], bbox_head=BoxHead(2), language_model=nn.Identity())


def test_a_training_without_validation_or_classes_is_taken(coco, build):
    train(build(coco("a", "ring"), "ring"), bbox_head=BoxHead(1))
    train([1, 2, 3], [4], bbox_head=BoxHead(1))
