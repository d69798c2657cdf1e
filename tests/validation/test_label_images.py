"""A sample of the labels is checked before the first step."""

import cv2
import numpy as np
import pytest
from torch import nn

pytest.importorskip("mmseg")

from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from mmseg.datasets.transforms import LoadAnnotations

from nlse_mm.errors import ConfigError, MissingFileError
from nlse_mm.validation.label_images import check_label_images

SIZE = (8, 12)
KEY = "train_dataloader.dataset"


class DecodeHead(nn.Module):
    def __init__(self, num_classes, ignore_index=255, **attributes):
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.__dict__.update(attributes)


@pytest.fixture
def check(tmp_path):
    """Write label images, and what is warned of when a data set of them is checked."""

    def run(
        *files,
        classes=2,
        loader=None,
        training=True,
        head=None,
        metainfo=True,
        **kwargs,
    ):
        for path in tmp_path.iterdir() if files else ():
            path.unlink()
        for n, labels in enumerate(files):
            cv2.imwrite(str(tmp_path / f"{n:03}.jpg"), np.zeros((*SIZE, 3), np.uint8))
            labels = np.resize(np.array(labels, np.uint8), SIZE)
            cv2.imwrite(str(tmp_path / f"{n:03}.png"), labels)
        names = tuple(f"class {n}" for n in range(classes))
        ours = dict(type="nlse_mm.LoadSegLabels", num_classes=classes)
        cfg = dict(
            type="BaseSegDataset",
            metainfo=dict(classes=names) if metainfo is True else metainfo,
            data_root=str(tmp_path),
            data_prefix=dict(img_path="", seg_map_path=""),
            pipeline=[
                dict(type="LoadImageFromFile"),
                dict(type="Resize", scale=(24, 16)),
                ours if loader is None else loader,
            ],
        )
        said = []
        with DefaultScope.overwrite_default_scope("mmseg"):
            dataset = DATASETS.build(cfg | kwargs)
            model = nn.ModuleDict(dict(a=head or DecodeHead(classes)))
            check_label_images(dataset, KEY, model, said.append, training=training)
        return said

    return run


STOCK = dict(type="LoadAnnotations")


@pytest.mark.parametrize("loader", [None, STOCK], ids=["ours", "stock"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("files", [1, 40])
def test_masks_of_0_and_255_are_refused(check, loader, training, files):
    sentence = (
        rf"^train_dataloader\.dataset: the {files} label images checked in .* have "
        "no pixel of any class but 0, and 255, which is no label: .* has to become 1$"
    )
    with pytest.raises(ConfigError, match=sentence):
        check(*[(0, 255)] * files, loader=loader, training=training)


def test_a_single_class_of_many_needs_more_images_to_be_refused(check):
    (said,) = check((0, 255), classes=3)
    assert "no pixel of any class but 0, and 255" in said
    with pytest.raises(ConfigError, match="the 12 label images"):
        check(*[(0, 255)] * 12, classes=3)


def test_a_class_that_few_images_have_is_searched_for(check):
    files = [(0, 255)] * 60
    files[37] = (0, 1, 255)
    assert check(*files) == []


def test_reduce_zero_label_where_0_is_a_class_is_the_reason_given(check):
    with pytest.raises(
        ConfigError, match="reduce_zero_label=True takes 0 for no label"
    ):
        check((0, 1), (1, 0), reduce_zero_label=True)
    with pytest.raises(ConfigError, match=r"no pixel of any class, and 255.*reduce"):
        check((0, 0), classes=7, reduce_zero_label=True)
    assert check((0, 1, 2), reduce_zero_label=True) == []


def test_labels_of_one_class_without_void_are_warned_of(check):
    (said,) = check((0,), (0,))
    assert "no pixel of any class but 0" in said
    assert check((0, 255), classes=1) == []


@TRANSFORMS.register_module()
class ObjectsTo1(BaseTransform):
    """A user's own."""

    def transform(self, results):
        results["gt_seg_map"] = (results["gt_seg_map"] > 0).astype(np.uint8)
        return results


def test_labels_that_a_transform_of_the_users_changes_are_only_warned_of(check):
    pipeline = [dict(type="LoadImageFromFile"), STOCK, dict(type="ObjectsTo1")]
    (said,) = check((0, 255), pipeline=pipeline)
    assert "has to become 1" in said
    (said,) = check((0, 7), pipeline=pipeline)
    assert "have 7" in said
    with pytest.raises(ConfigError, match="has to become 1"):
        check((0, 255), pipeline=[pipeline[0], pipeline[2], STOCK])


@TRANSFORMS.register_module()
class LoadsByImage(LoadAnnotations):
    """A user's own, which needs the image."""

    def _load_seg_map(self, results):
        super()._load_seg_map(results)
        results["gt_seg_map"] = results["gt_seg_map"][: len(results["img"])] > 0


def test_a_loader_of_the_users_is_left_alone(check):
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadsByImage")]
    assert check((0, 255), pipeline=pipeline) == []


def test_a_label_out_of_range_is_found_with_the_stock_loader_too(check):
    with pytest.raises(ValueError, match=r"001\.png have 5, but num_classes=3 allows"):
        check((0, 1), (0, 5), classes=3, loader=STOCK)
    (said,) = check((0, 1), (0, 5), classes=3, loader=STOCK, training=False)
    assert "have 5" in said
    assert check((0, 1), (0, 254), loader=STOCK, head=DecodeHead(2, 254)) == []
    assert (
        check((0, 1), classes=1, loader=STOCK, head=DecodeHead(1, out_channels=1)) == []
    )


def test_without_classes_the_heads_number_counts(check):
    with pytest.raises(ValueError, match="num_classes=3 allows"):
        check((0, 3), loader=STOCK, head=DecodeHead(3), metainfo=None)


def test_stock_labels_of_another_size_than_their_image_are_taken(check, tmp_path):
    check((0, 1))
    cv2.imwrite(str(tmp_path / "000.png"), np.eye(4, dtype=np.uint8))
    assert check(loader=STOCK) == []
    with pytest.raises(ValueError, match=r"are 4 x 4 \(H x W\)"):
        check()


@pytest.mark.parametrize("loader", [None, STOCK], ids=["ours", "stock"])
@pytest.mark.parametrize("training", [True, False])
def test_a_missing_label_is_named(check, loader, training, tmp_path):
    check((0, 1), (1, 0))
    (tmp_path / "001.png").unlink()
    with pytest.raises(MissingFileError, match=r"001\.png doesn't exist"):
        check(loader=loader, training=training)


def test_an_image_that_cannot_be_read_is_left_to_its_loader(check, tmp_path):
    check((0, 1), (1, 0))
    (tmp_path / "001.jpg").write_bytes(b"not an image")
    assert check() == []


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        (dict(num_classes=150), "LoadSegLabels.num_classes=150, but .* has 2 classes"),
        (
            dict(num_classes=2, ignore_index=254),
            "LoadSegLabels.ignore_index=254 in .* heads have ignore_index=255",
        ),
        (
            dict(num_classes=2, reduce_zero_label=True),
            "LoadSegLabels.reduce_zero_label=True, but .* has reduce_zero_label=False",
        ),
    ],
)
def test_a_loader_is_set_as_the_rest(check, loader, words):
    with pytest.raises(ConfigError, match=words):
        check((0, 1), loader=dict(type="nlse_mm.LoadSegLabels", **loader))


def test_a_part_of_the_classes_may_be_evaluated(check):
    loader = dict(type="nlse_mm.LoadSegLabels", num_classes=3)
    assert check((0, 1), loader=loader, training=False) == []
    with pytest.raises(ConfigError, match=r"num_classes=3, but .* has 2 classes"):
        check((0, 1), loader=loader)


@pytest.mark.parametrize("loader", [None, STOCK], ids=["ours", "stock"])
def test_a_choice_of_classes_may_leave_one_in_the_images(check, loader):
    (said,) = check(
        (0, 1),
        loader=loader,
        type="CityscapesDataset",
        metainfo=dict(classes=("road", "car")),
        img_suffix=".jpg",
        seg_map_suffix=".png",
    )
    assert said.endswith("no pixel of any class but 0, and 255, which is no label")


def test_a_loader_inside_test_time_augmentation_is_found(check):
    views = dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="nlse_mm.LoadSegLabels", num_classes=2)],
            [dict(type="PackSegInputs")],
        ],
    )
    with pytest.raises(ConfigError, match="has to become 1"):
        check((0, 255), loader=views, training=False)
