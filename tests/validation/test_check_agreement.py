"""The hook looks at every data set of a loop before the first step."""

import logging
from types import SimpleNamespace

import pytest
from mmengine.registry import DATASETS
from torch import nn

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import installed
from nlse_mm.training import CheckAgreementHook

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
    with pytest.raises(ConfigError, match=key):
        train(joined, bbox_head=BoxHead(2))
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset\.dataset has 2"):
        train(repeated, bbox_head=BoxHead(3))


def test_joined_data_sets_must_number_a_class_alike(coco, build):
    files = coco("a", "ring", "star"), coco("b", "star", "ring")
    sets = [build(file, "ring", "star") for file in files]
    joined = DATASETS.build(dict(type="ConcatDataset", datasets=sets))
    words = r"'star' is number 0 in train_dataloader\.dataset\.datasets\[1\]"
    with pytest.raises(ConfigError, match=words):
        train(joined, bbox_head=BoxHead(2))
    with pytest.raises(ConfigError, match=r"'star' is number 0 in val_dataloader"):
        train(*sets, bbox_head=BoxHead(2))
    train(joined, sets[1], bbox_head=BoxHead(2), language_model=nn.Identity())


def test_a_training_without_any_annotation_is_refused(coco, build):
    full = build(coco("a", "ring"), "ring")
    empty = build(coco("b", "ring", boxes=False), "ring")
    words = (
        r"^train_dataloader\.dataset: none of the 2 images of .*b\.json has a usable "
        r"annotation of the classes 'ring'"
    )
    with pytest.raises(ConfigError, match=words):
        train(empty, full, bbox_head=BoxHead(1))
    train(full, empty, bbox_head=BoxHead(1))
    train(empty, backbone=nn.Identity())  # without labels
    joined = DATASETS.build(dict(type="ConcatDataset", datasets=[empty, full]))
    train(joined, bbox_head=BoxHead(1))  # images of the background


def test_a_class_of_voc_in_another_case_is_named(tmp_path, in_mmdet):
    (tmp_path / "a.txt").write_text("1\n")
    box = "<xmin>4</xmin><ymin>4</ymin><xmax>9</xmax><ymax>9</ymax>"
    for folder, suffix, content in (
        ("JPEGImages", "jpg", ""),
        (
            "Annotations",
            "xml",
            "<annotation><size><width>20</width><height>10</height></size><object>"
            f"<name>Cat</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
            "</annotation>",
        ),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"1.{suffix}").write_text(content)

    def voc(name):
        return DATASETS.build(
            dict(
                type="XMLDataset",
                data_root=str(tmp_path),
                ann_file="a.txt",
                data_prefix=dict(sub_data_root=""),
                metainfo=dict(classes=(name,)),
            )
        )

    with pytest.raises(ConfigError, match="the classes 'cat': are they written as in"):
        train(voc("cat"), bbox_head=BoxHead(1))
    train(voc("Cat"), bbox_head=BoxHead(1))


def test_a_training_without_validation_or_classes_is_taken(coco, build):
    train(build(coco("a", "ring"), "ring"), bbox_head=BoxHead(1))
    train([1, 2, 3], [4], bbox_head=BoxHead(1))
