"""Labels that fit neither the image nor the model end in one sentence."""

import cv2
import numpy as np
import pytest

pytest.importorskip("mmseg")

from mmengine.dataset import Compose
from mmengine.registry import DATASETS, DefaultScope

NAME = "000000000003"


@pytest.fixture
def load(folder):
    """Loads the labels of ``NAME`` after writing these, in either pipeline's order."""

    def run(labels=None, resize=None, num_classes=133, **info):
        image = folder / "train2017" / f"{NAME}.jpg"
        path = folder / "semantic" / "train2017" / f"{NAME}.png"
        if labels is not None:
            cv2.imwrite(str(path), labels)
        steps = [dict(type="LoadImageFromFile")]
        if resize:
            steps.append(dict(type="Resize", scale=resize, keep_ratio=True))
        steps.append(dict(type="nlse_mm.LoadSegLabels", num_classes=num_classes))
        results = dict(
            img_path=str(image),
            seg_map_path=str(path),
            label_map=None,
            reduce_zero_label=False,
            seg_fields=[],
        )
        with DefaultScope.overwrite_default_scope("mmseg"):
            return Compose(steps)(results | info)["gt_seg_map"]

    return run


def test_right_labels_come_through_unchanged(load):
    labels = np.arange(96, dtype=np.uint8).reshape(8, 12)
    labels[3, 4] = 255
    assert np.array_equal(load(labels), labels)
    # The test pipeline: labels stay at the image's own size.
    assert np.array_equal(load(labels, resize=(24, 16)), labels)


def test_a_label_out_of_range_names_the_file_the_value_and_the_classes(load):
    labels = np.zeros((8, 12), np.uint8)
    labels[5, 6] = 171
    sentence = (
        rf"^the labels .*{NAME}\.png have 171, but num_classes=171 allows 0 to 170 "
        r"and 255 for no label$"
    )
    with pytest.raises(ValueError, match=sentence):
        load(labels, num_classes=171)
    labels[5, 6] = 170
    assert load(labels, num_classes=171).max() == 170


def test_the_range_counts_after_zero_became_no_label(load):
    labels = np.full((8, 12), 171, np.uint8)
    labels[0] = 0
    found = load(labels, num_classes=171, reduce_zero_label=True)
    assert (found[0] == 255).all()
    assert (found[1:] == 170).all()


def test_labels_of_another_size_than_the_images_are_refused(load):
    sentence = rf"the labels .*{NAME}.png are 16 x 24 .* {NAME}.jpg is 8 x 12$"
    sentence = sentence.replace(f" {NAME}.jpg", rf".*{NAME}.jpg")
    for resize in (None, (24, 16)):  # also where the image was resized to their size
        with pytest.raises(ValueError, match=sentence):
            load(np.zeros((16, 24), np.uint8), resize=resize)


def test_a_colour_image_is_refused(load):
    with pytest.raises(ValueError, match=rf"{NAME}.png are a colour image"):
        load(np.zeros((8, 12, 3), np.uint8))


def test_an_image_without_labels_is_named(load, folder):
    (folder / "semantic" / "train2017" / f"{NAME}.png").unlink()
    sentence = rf"^the image .*{NAME}\.jpg has no labels: .*{NAME}\.png doesn't exist$"
    with pytest.raises(FileNotFoundError, match=sentence):
        load()


@pytest.mark.parametrize(("kind", "zero"), [("164k", False), ("10k", True)])
def test_both_coco_stuffs_load_through_mmsegs_class(folder, kind, zero):
    """164k numbers its classes from 0, 10k from 1 with 0 for no label."""
    labels = np.full((8, 12), 170 + zero, np.uint8)
    labels[0] = 0 if zero else 255
    for image in (folder / "train2017").iterdir():
        suffix = "_labelTrainIds.png"
        path = folder / "semantic" / "train2017" / f"{image.stem}{suffix}"
        cv2.imwrite(str(path), labels)
    cfg = dict(
        type="COCOStuffDataset",
        data_root=str(folder),
        data_prefix=dict(img_path="train2017", seg_map_path="semantic/train2017"),
        reduce_zero_label=zero,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="nlse_mm.LoadSegLabels", num_classes=171),
            dict(type="PackSegInputs"),
        ],
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset = DATASETS.build(cfg)
        found = dataset[1]["data_samples"].gt_sem_seg.data[0]
    assert len(dataset.metainfo["classes"]) == 171
    assert (found[0] == 255).all()
    assert (found[1:] == 170).all()
