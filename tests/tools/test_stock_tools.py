"""MMDetection's own tools and inferencer, with our plugin lines in a stock config."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nlse_mm.checkpoint import load_from_local

mmdet = pytest.importorskip("mmdet")

ROOT = Path(__file__).parents[2]
STOCK = Path(mmdet.__file__).parent / ".mim" / "tools"
CONFIG = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
LEAF = f"""
_base_ = '{CONFIG}'
classes = ('ellipse', 'rectangle', 'triangle', 'star', 'ring', 'cross')
model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        depth=18,
        init_cfg=None,
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.NonLocal2d', norm_cfg=dict(type='BN')),
                stages=(False, False, True, False),
                blocks=(-2,),
                position='after_block')
        ]),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=6)))
data = dict(
    metainfo=dict(classes=classes),
    data_root='DATA/',
    data_prefix=dict(img='train2017/'))
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data, data_prefix=dict(img='val2017/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='DATA/annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "tiny"
    maker = ROOT / "tools" / "data" / "make_tiny_coco.py"
    command = [sys.executable, maker, folder, "--train", "4", "--val", "2"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def leaf(data):
    path = data.parent / "stock_with_lines.py"
    text = LEAF.replace("DATA", str(data))
    # The stock pipeline makes 800 x 1333 of every image.
    text += "".join(
        f"{name}_dataloader['dataset']['pipeline'] = [\n"
        "    dict(type='LoadImageFromFile'),\n"
        "    dict(type='LoadAnnotations', with_bbox=True),\n"
        "    dict(type='Resize', scale=(96, 64), keep_ratio=True),\n"
        "    dict(type='PackDetInputs')]\n"
        for name in ("train", "val")
    )
    path.write_text(text)
    return path


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, STOCK / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def trained(leaf):
    work_dir = leaf.parent / "work"
    run("train.py", leaf, "--work-dir", work_dir)
    return work_dir


def test_stock_train_resumes_our_config(leaf, trained):
    options = ["--resume", "--cfg-options", "train_cfg.max_epochs=2"]
    printed = run("train.py", leaf, "--work-dir", trained, *options)
    assert "resumed epoch: 1" in printed
    first, second = (
        load_from_local(str(trained / f"epoch_{n}.pth"))["state_dict"] for n in (1, 2)
    )
    name = "backbone.layer3.0.nonlocal_block.conv_out.bn.weight"
    assert first[name].abs().sum() > 0
    assert not torch.equal(first[name], second[name])


def test_the_inferencer_loads_our_checkpoint(leaf, trained):
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(
        str(leaf), str(trained / "epoch_1.pth"), device="cpu", show_progress=False
    )
    weight = load_from_local(str(trained / "epoch_1.pth"))["state_dict"]
    name = "backbone.layer3.0.nonlocal_block.conv_out.bn.weight"
    assert torch.equal(inferencer.model.state_dict()[name], weight[name])
    (result,) = inferencer(np.zeros((64, 96, 3), np.uint8))["predictions"]
    assert {"bboxes", "labels", "scores"} <= result.keys()
