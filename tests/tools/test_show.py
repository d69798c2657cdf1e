"""The tools that look into a model, on tiny models with random weights."""

import argparse
import shutil
from pathlib import Path

import cv2
import make_tiny_coco
import matplotlib.image
import numpy as np
import pytest
import show_attention
import torch
from images import Image, by_frequency
from mmengine.registry import MODELS, DefaultScope
from model_on_images import load_model

from nlse_mm.config_file import read_config

ROOT = Path(__file__).parents[2]
TINY = ROOT / "configs" / "tiny"

BLOCK = "backbone.layer3.0.nonlocal_block"
ONE_IN_RES4 = "stages=(False, False, True, False), blocks=(-2,), position='after_block'"
SEGMENTATION, DETECTION = TINY / "fcn_r18_nl.py", TINY / "mask_rcnn_r18_se_nl.py"
BOTH = pytest.mark.parametrize(
    "config", [SEGMENTATION, DETECTION], ids=lambda p: p.stem
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three images of 100 x 130 pixels, their annotations, a folder of classes."""
    root = tmp_path_factory.mktemp("data")
    size = ["--size", "100", "130"]
    make_tiny_coco.main([str(root), "--train", "1", "--val", "3", *size])
    for name, folder in zip(sorted(root.glob("val2017/*")), "aab", strict=True):
        (root / "by_class" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(name, root / "by_class" / folder)
    return root


@pytest.fixture
def image(data):
    return sorted(data.glob("val2017/*"))[0]


@pytest.fixture
def weights(tmp_path):
    """A function that writes a checkpoint for a config, and returns its path."""

    def write(config):
        cfg = read_config(config)
        pytest.importorskip(cfg.default_scope)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(cfg.model)
        path = tmp_path / f"{config.stem}.pth"
        torch.save(dict(meta={}, state_dict=model.state_dict()), path)
        return path

    return write


def of(config, checkpoint=None):
    """The command line that ``load_model`` reads."""
    return argparse.Namespace(
        config=str(config),
        checkpoint=checkpoint and str(checkpoint),
        cfg_options={},
        launcher="none",
        work_dir=None,
        local_rank=0,
    )


@BOTH
def test_what_is_drawn_are_the_blocks_rows(config, image, weights, launch):
    model = load_model(of(config, weights(config)))
    block = model.get_submodule(BLOCK)
    inputs = []
    block.register_forward_hook(lambda m, x, y: inputs.append(x[0].clone()))
    points = [(3, 2), (100, 40)]
    maps = show_attention.maps_of_image(model, {BLOCK: block}, image, points)
    figure = show_attention.draw(cv2.imread(str(image)), maps, points)
    (x,) = inputs
    height, width = x.shape[2:]
    # Mask R-CNN: 100 x 130 pixels become 123 x 160, on an input of 128 x 160, stride
    # 16. FCN: 100 x 130 is the input, stride 8 rounded up. In pixels of the image:
    if config is DETECTION:
        assert (height, width) == (8, 10)
        down, across = 16 / 1.23, 16 / (160 / 130)
    else:
        assert (height, width) == (13, 17)
        down, across = 100 / 13, 130 / 17
    rows = block.attention(x)[0, 0].detach()
    panels = [axis for axis in figure.axes if len(axis.images) == 2]
    for axis, (px, py) in zip(panels, points, strict=True):
        at = int((py + 0.5) / down) * width + int((px + 0.5) / across)
        drawn = max(axis.images, key=lambda image: image.zorder)
        expected = rows[at].unflatten(0, (height // 2, width // 2)).numpy()
        np.testing.assert_allclose(drawn.get_array(), expected, rtol=1e-4)
        left, right, bottom, top = drawn.get_extent()
        assert (left, top) == (0, 0)
        grid = expected.shape  # its cells are two positions each way
        ends = 2 * across * grid[1], 2 * down * grid[0]
        assert (right, bottom) == pytest.approx(ends)
        assert axis.get_xlim() == (0, 130)
        assert axis.get_ylim() == (100, 0)
        arrows = [text for text in axis.texts if text.arrow_patch is not None]
        best = np.unravel_index(expected.argmax(), expected.shape)
        place = 2 * across * (best[1] + 0.5), 2 * down * (best[0] + 0.5)
        assert arrows[0].xy == pytest.approx(place)
        above = int((expected > expected.mean()).sum())  # a uniform row's has none
        assert len(arrows) == min(20, above)


@BOTH
def test_attention_is_drawn_and_the_blocks_are_listed(
    config, image, weights, launch, capsys
):
    arguments = [image, config, weights(config), "--at", "9,9", "--at", "60,70"]
    launch("analysis/show_attention.py", *arguments, "--out", "new/attention.png")
    out = capsys.readouterr().out
    assert BLOCK in out
    assert "random" not in out
    drawn = matplotlib.image.imread("new/attention.png")
    assert drawn.std() > 0.05


def test_a_whole_image_is_shown_where_segmentation_slides(image, launch, capsys):
    pytest.importorskip("mmseg")
    slide = dict(mode="slide", crop_size="(64,64)", stride="(32,32)")
    options = [f"model.test_cfg.{key}={value}" for key, value in slide.items()]
    options = ["--block", "nonlocal_block", "--cfg-options", *options]
    launch("analysis/show_attention.py", image, SEGMENTATION, "--at", "9,9", *options)
    assert "weights are random" in capsys.readouterr().out
    assert Path("attention.png").exists()


def test_blocks_on_regions_are_left_out_unless_they_are_named(
    image, launch, capfd, tmp_path
):
    pytest.importorskip("mmdet")
    line = f"dict(cfg=dict(type='nlse_mm.NonLocal2d'), {ONE_IN_RES4})"
    config = tmp_path / "both.py"
    config.write_text(
        f"_base_ = {str(TINY / 'keypoint_rcnn_r18_nl.py')!r}\n"
        f"model = dict(backbone=dict(type='nlse_mm.ResNet', plugins=[{line}]))\n"
    )
    launch("analysis/show_attention.py", image, config, "--at", "9,9")
    said = capfd.readouterr().out
    assert f"  {BLOCK}\n" in said
    assert "left out, as they run on regions only: roi_head.keypoint_head." in said
    assert Path("attention.png").exists()
    only = TINY / "keypoint_rcnn_r18_nl.py"
    with pytest.raises(SystemExit):
        launch("analysis/show_attention.py", image, only, "--at", "9,9")
    assert "or on regions" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", "130,5"], "the point 130,5 is outside of the image, which has x "),
        (["--at", "5,5", "--block", "layer9"], f"there are {BLOCK}"),
        (["--at", "5,5", "--out", "a.docx"], "--out a.docx does not end in one of"),
    ],
)
def test_a_wrong_option_is_refused(arguments, sentence, image, sentence_of):
    pytest.importorskip("mmseg")
    said = sentence_of("analysis/show_attention.py", image, SEGMENTATION, *arguments)
    assert sentence in said


def test_what_is_no_point_is_refused(image, launch, capsys):
    with pytest.raises(SystemExit):
        launch("analysis/show_attention.py", image, SEGMENTATION, "--at", "5;5")
    assert "'5;5' is not a pixel X,Y such as 120,80" in capsys.readouterr().err


def test_what_cannot_be_read_is_refused(image, tmp_path, sentence_of):
    pytest.importorskip("mmseg")
    no_image = tmp_path / "text.jpg"
    no_image.write_text("no image")
    at = ["--at", "1,1"]
    for arguments, sentence in (
        ([no_image, SEGMENTATION, *at], "text.jpg can't be read"),
        ([tmp_path / "no.jpg", SEGMENTATION, *at], "no.jpg does not exist"),
        ([image, tmp_path / "no.py", *at], "no.py does not exist"),
        ([image, SEGMENTATION, tmp_path / "no.pth", *at], "no.pth does not exist"),
    ):
        assert sentence in sentence_of("analysis/show_attention.py", *arguments)


def test_models_without_blocks_and_other_models_weights_are_refused(
    image, data, weights, sentence_of
):
    pytest.importorskip("mmseg")
    se, nl = TINY / "fcn_r18_se.py", SEGMENTATION
    at = ["--at", "1,1"]
    said = sentence_of("analysis/show_attention.py", image, se, *at)
    assert "EncoderDecoder has no nlse_mm.NonLocal2d block" in said
    arguments = [se, weights(se), data / "val2017"]
    said = sentence_of("analysis/attention_statistics.py", *arguments)
    assert "EncoderDecoder has no nlse_mm.NonLocal2d block" in said
    arguments = [nl, weights(nl), data / "val2017"]
    said = sentence_of("analysis/show_excitation.py", *arguments)
    assert "EncoderDecoder has no nlse_mm.SELayer" in said
    said = sentence_of("analysis/show_attention.py", image, nl, weights(DETECTION), *at)
    assert "is a checkpoint of another model" in said


@BOTH
def test_statistics_are_printed_by_block(config, data, weights, launch, capsys):
    arguments = [config, weights(config), data / "val2017", "--queries", "9"]
    launch("analysis/attention_statistics.py", *arguments)
    first, head, _, row = capsys.readouterr().out.splitlines()[-4:]
    assert first == "3 images, 9 queries in each"
    head, row = ([cell.strip() for cell in line.split("|")] for line in (head, row))
    values = dict(zip(head, row, strict=True))
    assert values["block"] == BLOCK
    assert values["output"] == "-"  # it adds nothing yet
    assert 0.99 < float(values["entropy"].split()[0]) <= 1
    assert 30 < float(values["uniform"].split()[0]) < 120


@pytest.mark.parametrize("number", [1, 2])
def test_fewer_images_and_too_few_queries(number, data, weights, launch, capsys):
    path = weights(SEGMENTATION)
    arguments = ["analysis/attention_statistics.py", SEGMENTATION, path]
    launch(*arguments, data / "val2017", "--number", number)
    assert f"{number} images, 64 queries" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        launch(*arguments, data / "val2017", "--queries", 1)
    assert "queries=1 is not an integer of at least 2" in capsys.readouterr().err


@pytest.mark.parametrize("config", ["fcn_r18_se.py", "mask_rcnn_r18_se.py"])
def test_excitation_is_drawn_by_class(config, data, weights, launch, capsys):
    arguments = ["analysis/show_excitation.py", TINY / config, weights(TINY / config)]
    launch(*arguments, data / "by_class", "--out", "folders.png")
    out = capsys.readouterr().out
    assert "a: 2 images\nb: 1 images\nall: 3 images\n" in out
    assert matplotlib.image.imread("folders.png").std() > 0.05
    annotations = data / "annotations/instances_val2017.json"
    launch(*arguments, annotations, "--classes", "star", "--out", "coco.svg")
    assert "all: 3 images" in capsys.readouterr().out
    assert Path("coco.svg").exists()
    launch(*arguments, data / "val2017")  # without classes
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "all: 3 images",
        "excitation.png",
    ]


def test_every_class_of_a_single_image_counts():
    one = Image(Path("1.jpg"), frozenset("abc"))
    other = Image(Path("2.jpg"), frozenset("c"))
    assert by_frequency([one]) == ["a", "b", "c"]
    assert by_frequency([one, other]) == ["c", "a", "b"]


def test_wrong_data_is_refused(data, weights, sentence_of, tmp_path):
    pytest.importorskip("mmseg")
    config = TINY / "fcn_r18_se.py"
    arguments = ["analysis/show_excitation.py", config, weights(config)]
    by_class, empty = data / "by_class", tmp_path / "empty"
    empty.mkdir()
    alone = tmp_path / "annotations" / "instances_val2017.json"
    alone.parent.mkdir()
    shutil.copy(data / "annotations/instances_val2017.json", alone)
    text = tmp_path / "text.json"
    text.write_text("[]")
    for extra, sentence in (
        (
            [by_class, "--classes", "c"],
            "no image shows the class 'c'; there are a",
        ),
        ([by_class, "--number", "0"], "--number 0 is not 1 or more"),
        ([empty], "has no image; it should be a folder of images"),
        ([tmp_path / "none"], "none does not exist"),
        ([alone], "val2017"),
        ([text], "text.json is not a COCO instances file"),
    ):
        assert sentence in sentence_of(*arguments, *extra)
