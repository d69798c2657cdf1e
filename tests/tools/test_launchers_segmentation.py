"""Training and testing a segmentation config: bad labels, wrong weights, --tta."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nlse_mm.config_file import read_config

pytest.importorskip("mmseg")

from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "nlhead_r18.py"
HEIGHT, WIDTH = 24, 32
LEAF = f"""
_base_ = '{CONFIG}'
model = dict(
    data_preprocessor=dict(size=({HEIGHT}, {WIDTH})),
    backbone=dict(stem_channels=8, base_channels=4),
    decode_head=dict(in_channels=16, channels=8))
data = dict(data_root='data/')
train_dataloader = dict(batch_size=2, dataset=data)
val_dataloader = dict(batch_size=2, dataset=data)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
"""


@pytest.fixture(autouse=True)
def _here(launch):
    Path("leaf.py").write_text(LEAF)
    rng = np.random.default_rng(0)
    for split in ("train2017", "val2017"):
        Path("data", split).mkdir(parents=True)
        Path("data/semantic", split).mkdir(parents=True)
        for n in range(4):
            image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            cv2.imwrite(f"data/{split}/{n}.jpg", image)
            labels = rng.integers(0, 7, (HEIGHT, WIDTH), np.uint8)
            cv2.imwrite(f"data/semantic/{split}/{n}.png", labels)


@pytest.fixture
def checkpoint():
    config = read_config("leaf.py")
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = revert_sync_batchnorm(MODELS.build(config.model))
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), "iter_1.pth")
    return "iter_1.pth"


def out_of_range(labels):
    labels[3, 4] = 200
    return labels


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (out_of_range, "have 200, but num_classes=7 allows 0 to 6 and 255"),
        (lambda labels: labels[:9], f"are 9 x {WIDTH} (H x W), their image"),
        (lambda labels: None, "doesn't exist"),
    ],
    ids=["out of range", "size", "missing"],
)
def test_bad_labels_end_a_training_with_the_name_of_the_file(
    sentence_of, change, words, workers
):
    path = Path("data/semantic/train2017/3.png")
    labels = change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    path.unlink()
    if labels is not None:
        cv2.imwrite(str(path), labels)
    option = f"train_dataloader.num_workers={workers}"
    persistent = "train_dataloader.persistent_workers=False"
    said = sentence_of("train.py", "leaf.py", "--cfg-options", option, persistent)
    assert str(path) in said
    assert words in said


def test_a_fault_in_a_data_worker_keeps_its_traceback(launch):
    Path("data/train2017/3.jpg").write_bytes(b"not a image")
    with pytest.raises(Exception, match="in DataLoader worker process"):
        launch("train.py", "leaf.py")


def test_bad_labels_end_a_test(sentence_of, checkpoint):
    labels = np.full((HEIGHT, WIDTH), 7, np.uint8)
    cv2.imwrite("data/semantic/val2017/2.png", labels)
    for options in ([], ["--tta"]):
        said = sentence_of("test.py", "leaf.py", checkpoint, *options)
        assert "val2017/2.png have 7, but num_classes=7 allows 0 to 6" in said


def test_the_error_of_a_later_process_is_said_too(sentence_of, monkeypatch):
    cv2.imwrite("data/semantic/train2017/3.png", np.full((HEIGHT, WIDTH), 9, np.uint8))
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert "3.png have 9" in sentence_of("train.py", "leaf.py")


def test_a_checkpoint_for_other_classes_is_not_tested(sentence_of, checkpoint):
    classes = "model.decode_head.num_classes=5"
    said = sentence_of("test.py", "leaf.py", checkpoint, "--cfg-options", classes)
    assert "another number of classes or channels" in said
    assert "decode_head.conv_seg.bias is (7,), the model's is (5,)" in said


@pytest.mark.parametrize("tta", [False, True])
def test_miou_is_a_count_of_the_pixels_that_were_predicted(launch, checkpoint, tta):
    for n in range(4):  # pixels without a label, and a class that has none
        path = f"data/semantic/val2017/{n}.png"
        labels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        labels[labels == 6] = 5
        labels[:7] = 255
        cv2.imwrite(path, labels)
    options = ["--tta"] if tta else []
    launch(
        "test.py", "leaf.py", checkpoint, "--work-dir", "w", "--out", "out", *options
    )
    hits, either = np.zeros(7), np.zeros(7)
    for n in range(4):
        label, found = (
            cv2.imread(f"{folder}/{n}.png", cv2.IMREAD_UNCHANGED).astype(int)
            for folder in ("data/semantic/val2017", "out")
        )
        found[label == 255] = 255
        for k in range(7):
            hits[k] += ((label == k) & (found == k)).sum()
            either[k] += ((label == k) | (found == k)).sum()
    (scores,) = Path("w").rglob("2*.json")
    miou = 100 * np.mean([h / e for h, e in zip(hits, either, strict=True) if e])
    assert json.loads(scores.read_text())["mIoU"] == pytest.approx(miou, abs=0.01)


def test_show_dir_gets_a_picture_of_every_image(launch, checkpoint):
    options = ["--work-dir", "w", "--show-dir", "images"]
    launch("test.py", "leaf.py", checkpoint, *options)
    found = {path.name.split(".")[0] for path in Path("images").rglob("*.png")}
    assert found == {f"test_{n}" for n in range(4)}
