"""A data set without images says which setting left none."""

from types import SimpleNamespace

import pytest
from mmengine.registry import DATASETS, DefaultScope

from nlse_mm.errors import ConfigError
from nlse_mm.validation.empty_data import explain_unusable_data, refuse_empty_loops

NOTHING_BUILT = SimpleNamespace(_train_loop=None, _val_loop=None, _test_loop=None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            dict(filter_cfg=dict(min_size=500)),
            "filter_cfg.min_size=500 leaves none of 2",
        ),
        (dict(indices=0), "indices=0 takes none of its 2 images"),
        (dict(indices=[]), r"indices=\[\] takes none of its 2 images"),
        (
            dict(
                metainfo=dict(classes=("Ring",)), filter_cfg=dict(filter_empty_gt=True)
            ),
            "metainfo.classes has 'Ring', which .* doesn't have: its categories",
        ),
        (
            dict(metainfo={}, filter_cfg=dict(filter_empty_gt=True, min_size=1)),
            "classes has 'person', 'bicycle'.* its categories are 'ring', 'cross'",
        ),
        (
            dict(
                metainfo=dict(classes="Person"), filter_cfg=dict(filter_empty_gt=True)
            ),
            "'Person' is one string",
        ),
    ],
)
def test_the_filter_that_leaves_nothing_is_named(coco, build, settings, words):
    path = coco("a", "ring", "cross")
    with (
        pytest.raises(ConfigError, match=words),
        explain_unusable_data(NOTHING_BUILT),
    ):
        build(path, "ring", "cross", **settings)


def test_a_file_without_boxes_is_told_of_filter_empty_gt(coco, build):
    path = coco("a", "cat", boxes=False)
    words = "filter_empty_gt=True leaves none of 2 .* of the classes 'cat'"
    with (
        pytest.raises(ConfigError, match=words),
        explain_unusable_data(NOTHING_BUILT),
    ):
        build(path, "cat", filter_cfg=dict(filter_empty_gt=True, min_size=8))


def test_an_empty_data_set_that_could_be_built_is_found_in_its_loop(coco, build):
    dataset = build(coco("a", "cat"), "cat", indices=0, serialize_data=False)
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    runner = SimpleNamespace(_train_loop=loop, _val_loop=None, _test_loop=None)
    with pytest.raises(
        ConfigError, match=r"^train_dataloader\.dataset\.indices=0 takes"
    ):
        refuse_empty_loops(runner)
    with (
        pytest.raises(ConfigError, match="indices=0"),
        explain_unusable_data(runner),
    ):
        raise ZeroDivisionError  # what a sampler makes of it


def test_an_error_of_something_else_passes(coco, build):
    with (
        pytest.raises(ValueError, match="else"),
        explain_unusable_data(NOTHING_BUILT),
    ):
        raise ValueError("else")


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("BaseSegDataset", {}, r"has no images with img_suffix='\.tif'"),
        (
            "ADE20KDataset",
            dict(metainfo=dict(classes=("wall", "Sky"))),
            "classes has 'Sky', but ADE20KDataset has .* BaseSegDataset takes classes",
        ),
        (
            "BaseSegDataset",
            dict(metainfo=dict(classes=("a", "b"), palette=[[0, 0, 0]])),
            "palette has 1 colours for 2 classes",
        ),
        ("BaseSegDataset", dict(test_mode=True, img_suffix=".jpg"), "has no classes"),
    ],
)
def test_a_segmentation_data_set_that_cannot_be_built(
    coco, tmp_path, kind, settings, words
):
    pytest.importorskip("mmseg")
    coco("a", "cat")
    cfg = dict(
        type=kind,
        data_root=str(tmp_path),
        data_prefix=dict(img_path="", seg_map_path=""),
        img_suffix=".tif",
        pipeline=[],
    )
    with (
        DefaultScope.overwrite_default_scope("mmseg"),
        pytest.raises(ConfigError, match=words),
        explain_unusable_data(NOTHING_BUILT),
    ):
        DATASETS.build(cfg | settings)


def test_data_sets_of_other_classes_cannot_be_joined(coco, build):
    first, second = (
        build(coco(name, "ring", name), "ring", name) for name in ("star", "cross")
    )
    words = r"datasets\[1\]\.metainfo\.classes isn't that of .*datasets\[0\]"
    with (
        pytest.raises(ConfigError, match=words),
        explain_unusable_data(NOTHING_BUILT),
    ):
        DATASETS.build(dict(type="mmengine.ConcatDataset", datasets=[first, second]))
