"""Settings that don't fit each other end before the first step, in one sentence."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmdet")

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

TINY = Path(__file__).parents[2] / "configs" / "tiny"
HEIGHT, WIDTH = 48, 64
CLASSES = ("ellipse", "rectangle", "triangle", "star", "ring", "cross")
POINTS = ("left_end", "right_end", "tail")

DETECTION = f"""
_base_ = '{TINY}/mask_rcnn_r18.py'
model = dict(
    backbone=dict(base_channels=4),
    neck=dict(in_channels=[4, 8, 16, 32]),
    roi_head=dict(bbox_head=dict(fc_out_channels=8), mask_head=dict(num_convs=1)))
train_dataloader = dict(
    num_workers=0, dataset=dict(data_root='data/', ann_file='train.json',
                                data_prefix=dict(img='')))
val_dataloader = dict(
    num_workers=0, dataset=dict(data_root='data/', ann_file='val.json',
                                data_prefix=dict(img='')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/val.json')
test_evaluator = val_evaluator
"""
KEYPOINTS = f"""
_base_ = '{TINY}/keypoint_rcnn_r18_nl.py'
metainfo = dict(
    classes=('cup',), keypoints={POINTS!r},
    flip_pairs=(('left_end', 'right_end'),), skeleton=(), sigmas=(.05,) * 3)
data = dict(data_root='data/', ann_file='points.json', data_prefix=dict(img=''),
            metainfo=metainfo)
model = dict(
    backbone=dict(base_channels=4),
    neck=dict(in_channels=[4, 8, 16, 32]),
    roi_head=dict(bbox_head=dict(fc_out_channels=8),
                  keypoint_head=dict(num_convs=2, num_keypoints=3)))
train_dataloader = dict(num_workers=0, dataset=data)
val_dataloader = dict(num_workers=0, dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/points.json')
test_evaluator = val_evaluator
"""


def write_coco(name, classes, keypoints=()):
    categories = [
        dict(id=i, name=c, **(dict(keypoints=list(keypoints)) if keypoints else {}))
        for i, c in enumerate(classes, 1)
    ]
    images = [
        dict(id=n, file_name=f"{n}.jpg", height=HEIGHT, width=WIDTH) for n in range(2)
    ]
    annotations = [
        dict(
            id=2 * i + n + 1,
            image_id=n,
            category_id=category["id"],
            bbox=[8, 8, 24, 20],
            area=480,
            iscrowd=0,
            segmentation=[[8, 8, 32, 8, 32, 28, 8, 28]],
            keypoints=[12, 12, 2] * len(keypoints),
            num_keypoints=len(keypoints),
        )
        for i, category in enumerate(categories)
        for n in range(2)
    ]
    content = dict(images=images, annotations=annotations, categories=categories)
    Path(f"data/{name}.json").write_text(json.dumps(content))


@pytest.fixture(autouse=True)
def _here(launch):
    Path("data").mkdir()
    rng = np.random.default_rng(0)
    for n in range(2):
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(f"data/{n}.jpg", image)
    write_coco("train", CLASSES)
    write_coco("val", CLASSES)
    write_coco("turned", CLASSES[::-1])
    write_coco("points", ("cup",), POINTS)
    Path("boxes.py").write_text(DETECTION)
    Path("points.py").write_text(KEYPOINTS)


TRAIN, VAL = "train_dataloader.dataset", "val_dataloader.dataset"
BOXES = [
    ("model.roi_head.bbox_head.num_classes=80", "bbox_head.num_classes=80, but train"),
    (
        "model.roi_head.mask_head.num_classes=80 "
        "model.roi_head.mask_head.class_agnostic=False",
        "mask_head.num_classes=80, but train_dataloader.dataset has 6 classes",
    ),
    (
        f"{TRAIN}.metainfo.classes=ellipse,rectangle,triangle,star,ring,Cross",
        f"{TRAIN}.metainfo.classes has 'Cross', which data/train.json doesn't have",
    ),
    (f"{TRAIN}.metainfo.classes=A,B", f"{TRAIN}.metainfo.classes has 'A', 'B', which"),
    (f"{TRAIN}.metainfo.classes=ring", "'ring' is one string"),
    (
        f"{VAL}.ann_file=turned.json",
        "val.json has other categories, or in another order",
    ),
    (
        f"{VAL}.ann_file=turned.json val_evaluator.ann_file=data/turned.json",
        "'cross' is number 0 in val_dataloader.dataset",
    ),
    (f"{VAL}.indices=0", f"{VAL}.indices=0 takes none of its 2 images"),
]


@pytest.mark.parametrize(("options", "words"), BOXES, ids=[words for _, words in BOXES])
def test_settings_of_a_detection_that_differ_end_a_training(
    sentence_of, options, words
):
    said = sentence_of("train.py", "boxes.py", "--cfg-options", *options.split())
    assert words in said


POINTS_WRONG = [
    (
        "model.roi_head.keypoint_head.num_keypoints=17",
        "keypoint_head.num_keypoints=17, but train_dataloader.dataset has 3 keypoints",
    ),
    (f"{TRAIN}.metainfo.classes=cup", "classes='cup' is one string"),
    (f"{TRAIN}.metainfo.classes=Cup,", "has no category ['Cup']"),
]


@pytest.mark.parametrize(
    ("options", "words"), POINTS_WRONG, ids=[words for _, words in POINTS_WRONG]
)
def test_settings_of_keypoints_that_differ_end_a_training(sentence_of, options, words):
    said = sentence_of("train.py", "points.py", "--cfg-options", *options.split())
    assert words in said


def test_keypoints_of_another_order_in_the_validation_end_a_training(sentence_of):
    other = (POINTS[2], *POINTS[:2])
    write_coco("other", ("cup",), other)
    text = KEYPOINTS + (
        f"val_dataloader['dataset'] = dict(data, ann_file='other.json', metainfo="
        f"dict(metainfo, keypoints={other!r}))\n"
        "val_evaluator['ann_file'] = 'data/other.json'\n"
    )
    Path("points.py").write_text(text)
    words = "'tail' is number 0 in val_dataloader.dataset ('tail', 'left_end', 'right"
    assert words in sentence_of("train.py", "points.py")


@pytest.mark.parametrize("config", ["boxes.py", "points.py"])
def test_an_image_that_exif_turns_ends_a_training(sentence_of, config):
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (WIDTH, HEIGHT)).save("data/1.jpg", exif=exif)
    said = sentence_of("train.py", config)
    assert "1.jpg is 64 x 48 (H x W), but data/" in said
    assert "says 48 x 64; its EXIF orientation turns it" in said


@pytest.fixture
def checkpoint():
    """Of the detection's model."""
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(Config.fromfile("boxes.py").model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), "epoch.pth")
    return "epoch.pth"


def test_a_test_on_more_classes_than_the_models_is_refused(sentence_of, checkpoint):
    write_coco("val", (*CLASSES, "cup"))
    names = ",".join((*CLASSES, "cup"))
    option = f"test_dataloader.dataset.metainfo.classes={names}"
    said = sentence_of("test.py", "boxes.py", checkpoint, "--cfg-options", option)
    assert "num_classes=6, but test_dataloader.dataset has 7 classes" in said


def test_what_agrees_is_trained_and_evaluated(launch):
    option = ["train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    for config in ("boxes.py", "points.py"):
        launch("train.py", config, "--cfg-options", *option)
        assert list(Path("work_dirs").rglob("epoch_1.pth"))
