"""The training data is drawn as the model gets it, flipped images included."""

import runpy
import sys
from collections import OrderedDict
from pathlib import Path

import clip_figure
import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from nlse_mm.config_file import read_config

pytest.importorskip("mmdet")
import make_tiny_coco
import make_tiny_people

ROOT = Path(__file__).parents[2]

COLORS = dict(cat=(250, 10, 30), dog=(10, 250, 60))  # RGB
FEW = ["--train", "6", "--val", "1", "--size", "96", "130"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make_tiny_people.main([str(root / "people"), *FEW])
    make_tiny_coco.main([str(root / "coco"), *FEW])
    for name, color in COLORS.items():
        (root / "classes/train" / name).mkdir(parents=True)
        image = np.full((8, 8, 3), color[::-1], np.uint8)  # BGR
        cv2.imwrite(str(root / "classes/train" / name / f"of_{name}.png"), image)
    return root


@pytest.fixture
def browse(data, tmp_path, monkeypatch):
    """Run the tool on a config with the small data; the images by name."""
    for cls in (DefaultScope, Visualizer):  # as in a new process
        monkeypatch.setattr(cls, "_instance_dict", OrderedDict())

    def run(name, folder, *options):
        root = f"train_dataloader.dataset.data_root={data / folder}"
        out = tmp_path / "out"
        argv = ["browse_data.py", ROOT / "configs/tiny" / name, "--out", out]
        argv += [*options, "--cfg-options", root]
        monkeypatch.setattr(sys, "argv", list(map(str, argv)))
        script = ROOT / "tools/analysis/browse_data.py"
        runpy.run_path(str(script), run_name="__main__")
        return {p.name: cv2.imread(str(p)) for p in sorted(out.glob("*"))}

    return run


def as_drawn(image):
    """Return what drawing leaves of an image, which older Matplotlib softens.

    Twice, as for boxes and keypoints.
    """
    canvas = Visualizer()
    for _ in range(2):
        canvas.set_image(image)
        image = canvas.get_image()
    return image


def test_flipped_figures_are_among_the_images_and_named(browse, data):
    images = browse("keypoint_rcnn_r18_nl.py", "people")
    assert len(images) == 6
    flipped = [name for name in images if name.endswith("_horizontal.png")]
    assert 0 < len(flipped) < 6
    for name, image in images.items():
        number = name.split("_")[1].removesuffix(".png")
        plain = cv2.imread(str(data / "people/train2017" / f"{number}.jpg"))
        mirrored = plain[:, ::-1]
        same = [np.mean(np.abs(image - as_drawn(p)) < 2) for p in (plain, mirrored)]
        assert np.argmax(same) == (name in flipped)
        assert 0.5 < max(same) < 1  # something is drawn on it


def test_the_same_seed_draws_the_same_images_and_the_number_is_kept(browse):
    a = browse("keypoint_rcnn_r18_nl.py", "people", "--number", 3, "--seed", 5)
    b = browse("keypoint_rcnn_r18_nl.py", "people", "--number", 3, "--seed", 5)
    assert len(a) == 3
    assert all(np.array_equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize("name", ["mask_rcnn_r18.py", "fcn_r18_nl.py"])
def test_boxes_masks_and_labels_are_drawn_too(browse, name):
    pytest.importorskip(read_config(ROOT / "configs/tiny" / name).default_scope)
    images = browse(name, "coco", "--number", 2)
    assert len(images) == 2
    assert all(image.any() for image in images.values())


def test_no_image_at_all_is_refused(browse, capsys):
    with pytest.raises(SystemExit) as ended:
        browse("keypoint_rcnn_r18_nl.py", "people", "--number", 0)
    assert ended.value.code == 2
    assert "--number 0 is not 1 or more" in capsys.readouterr().err


def test_a_classifiers_image_has_its_class_above_it(browse, in_mmpretrain, monkeypatch):
    def record(frames, heading):
        drawn.append((heading, frames))
        return real(frames, heading)

    drawn, real = [], clip_figure.draw_frames
    monkeypatch.setattr(clip_figure, "draw_frames", record)
    images = browse("resnet18_digits.py", "classes")
    assert [*images] == ["0000_of_cat.png", "0001_of_dog.png"]
    headings = ["0000_of_cat: class cat", "0001_of_dog: class dog"]
    assert [heading for heading, _ in drawn] == headings
    for (_, frames), color, image in zip(
        drawn, COLORS.values(), images.values(), strict=True
    ):
        assert frames.shape == (1, 8, 8, 3)
        assert (frames == color).all()
        assert (image == color[::-1]).all(axis=2).any()
