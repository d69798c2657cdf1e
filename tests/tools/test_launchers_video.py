"""Training and testing on clips: bad videos, kill and resume, the digits of a test."""

import json
import shutil
from pathlib import Path

import make_far_cue_video
import pytest
import torch

pytest.importorskip("mmaction")

from mmengine.registry import MODELS, DefaultScope

import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)
from nlse_mm.checkpoint import load_from_local
from nlse_mm.config_file import read_config

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "far_cue_c2d_r18_nl.py"
LEAF = f"""
_base_ = '{CONFIG}'
model = dict(backbone=dict(base_channels=4), cls_head=dict(in_channels=8))
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=-1))
"""
DATA = Path("data/far_cue_video")
LIST = DATA / "far_cue_train_list_videos.txt"
SAMPLING = "train_dataloader.dataset.pipeline.1"


@pytest.fixture(autouse=True)
def _here(launch):
    Path("leaf.py").write_text(LEAF)
    make_far_cue_video.main([str(DATA), "--train", "10", "--val", "4"])


@pytest.fixture
def refused(sentence_of):
    def train(*options):
        return sentence_of("train.py", "leaf.py", "--cfg-options", "a=1", *options)

    return train


def cut(path, share):
    """Leave the beginning of a file, without the mp4's list of frames at its end."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])


def test_a_list_or_folder_that_is_missing_is_named_with_its_key(refused):
    LIST.rename(DATA / "away")
    said = refused()
    assert f"{LIST} does not exist (train_dataloader.dataset.ann_file" in said
    (DATA / "away").rename(LIST)
    (DATA / "videos_val").rename(DATA / "away")
    said = refused()
    assert f"{DATA}/videos_val does not exist" in said
    assert "(val_dataloader.dataset.data_prefix.video" in said


def test_a_folder_without_videos_is_refused_before_the_training(refused):
    for path in (DATA / "videos_train").iterdir():
        path.unlink()
    said = refused()
    assert said == f"error: the video {DATA}/videos_train/000000.mp4 does not exist"


# Eight of the ten are opened before the training: not the second one.
@pytest.mark.parametrize(("number", "workers"), [(0, 0), (2, 0), (2, 1)])
def test_a_broken_video_is_named_wherever_it_is_read(refused, number, workers):
    path = DATA / "videos_train" / f"00000{number}.mp4"
    cut(path, 0.5)
    said = refused(f"train_dataloader.num_workers={workers}")
    assert said.startswith(f"error: {path} is broken, or no video: ")


def test_what_is_no_video_is_named_by_a_test_as_well(sentence_of):
    path = DATA / "videos_val" / "000003.mp4"
    path.write_bytes(b"not a video")
    with DefaultScope.overwrite_default_scope("mmaction"):
        model = MODELS.build(read_config("leaf.py").model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), "a.pth")
    said = sentence_of("test.py", "leaf.py", "a.pth")
    assert said.startswith(f"error: {path} is broken, or no video: ")


def test_a_clip_longer_than_the_videos_is_warned_of_and_repeats_them(launch):
    options = [f"{SAMPLING}.clip_len=20", "train_cfg.max_epochs=1"]
    launch("train.py", "leaf.py", "--work-dir", "w", "--cfg-options", *options)
    said = "train_dataloader.dataset: a clip of clip_len=20 and frame_interval=1 wants"
    (log,) = Path("w").glob("*/*.log")
    (line,) = (x for x in log.read_text().splitlines() if said in x)
    assert "wants 20 frames, and " in line
    assert "the longest of 8 videos, has 16" in line
    assert Path("w/epoch_1.pth").exists()


def test_a_2d_plugin_is_refused_in_a_3d_backbone(refused):
    entry = "model.backbone.plugins.0.cfg.type"
    said = refused(f"{entry}=nlse_mm.NonLocal2d", f"{entry[:-5]}.norm_cfg.type=BN")
    assert "NonLocal2d" in said
    assert "NonLocal3d" in said


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_resumed_it_ends_with_the_same_weights_and_a_test_gives_its_digits(launch):
    launch("train.py", "leaf.py", "--work-dir", "whole")
    Path("killed").mkdir()
    shutil.copy("whole/epoch_1.pth", "killed")
    launch("train.py", "leaf.py", "--work-dir", "killed", "--resume")
    ends = [
        load_from_local(f"{folder}/epoch_2.pth", "cpu")
        for folder in ("whole", "killed")
    ]
    assert same(*(end["state_dict"] for end in ends))
    launch("test.py", "leaf.py", "whole/epoch_2.pth", "--work-dir", "tested")
    (trained,) = Path("whole").glob("*/vis_data/*_*.json")
    (tested,) = Path("tested").glob("*/*.json")
    epochs = [json.loads(line) for line in trained.read_text().splitlines()]
    accuracies = [line["acc/top1"] for line in epochs if "acc/top1" in line]
    assert len(accuracies) == 2
    assert json.loads(tested.read_text())["acc/top1"] == accuracies[-1]
