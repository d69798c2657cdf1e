"""The data set that the project makes itself is right, repeatable and never half."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import make_tiny_coco
import numpy as np
import pytest
from pycocotools.coco import COCO
from tiny_coco.annotation import annotate, polygons, run_lengths
from tiny_coco.scene import Thing, random_scene, render
from tiny_coco.shapes import CATEGORIES

from nlse_mm.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "tools" / "data"

FEW = ["--train", "12", "--val", "4", "--size", "96", "130", "--crowds", "0.5"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "tiny"
    make_tiny_coco.main([str(root), *FEW])
    return root


def contents(root):
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in paths}


def as_mask(segmentation, size):
    """What pycocotools makes of it, as it does for an annotation file."""
    coco = COCO()
    coco.imgs = {1: dict(zip(("height", "width"), size, strict=True))}
    return coco.annToMask(dict(image_id=1, segmentation=segmentation)).astype(bool)


def box(category, left, top, right, bottom, value, size=(60, 80)):
    ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    # cv2 fills to the last sub-pixel on the outline, one more than the length.
    ring = ring - [[0, 0], [0.25, 0], [0.25, 0.25], [0, 0.25]]
    return Thing(category, [[ring]], np.full((*size, 3), float(value)))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path):
    make_tiny_coco.main([str(tmp_path / "again"), *FEW])
    make_tiny_coco.main([str(tmp_path / "other"), *FEW, "--seed", "1"])
    assert contents(tmp_path / "again") == contents(made)
    first = "train2017/000000000001.jpg"
    assert contents(tmp_path / "other")[first] != contents(made)[first]


def test_a_larger_data_set_begins_with_the_images_of_a_smaller_one(made, tmp_path):
    make_tiny_coco.main([str(tmp_path / "more"), *FEW, "--train", "14"])
    small, large = (
        json.loads((r / "annotations/instances_train2017.json").read_text())
        for r in (made, tmp_path / "more")
    )
    assert large["annotations"][: len(small["annotations"])] == small["annotations"]
    for image in small["images"]:
        name = f"train2017/{image['file_name']}"
        assert (made / name).read_bytes() == (tmp_path / "more" / name).read_bytes()


def test_the_files_are_cocos(made):
    ids = []
    for split, count in (("train2017", 12), ("val2017", 4)):
        coco = COCO(str(made / f"annotations/instances_{split}.json"))
        assert {"description", "version", "year"} <= coco.dataset["info"].keys()
        assert [c["id"] for c in coco.dataset["categories"]] == [1, 2, 4, 5, 7, 9]
        licences = {licence["id"] for licence in coco.dataset["licenses"]}
        assert len(coco.imgs) == count == len(list((made / split).iterdir()))
        for image in coco.imgs.values():
            pixels = cv2.imread(str(made / split / image["file_name"]))
            assert pixels.shape == (image["height"], image["width"], 3) == (96, 130, 3)
            assert image["license"] in licences
        ids += coco.getImgIds()
    assert len(set(ids)) == 16


def test_area_and_box_are_those_of_the_mask_and_only_crowds_are_run_lengths(made):
    coco = COCO(str(made / "annotations/instances_train2017.json"))
    crowds = 0
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        ys, xs = np.nonzero(mask)
        left, top, right, bottom = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        assert annotation["bbox"] == [left, top, right - left, bottom - top]
        assert annotation["area"] == mask.sum()
        kind = dict if annotation["iscrowd"] else list
        assert isinstance(annotation["segmentation"], kind)
        crowds += annotation["iscrowd"]
    assert 0 < crowds < len(coco.anns) / 2


def test_a_semantic_label_is_the_place_of_the_annotations_category(made):
    for split in ("train2017", "val2017"):
        coco = COCO(str(made / f"annotations/instances_{split}.json"))
        for image in coco.imgs.values():
            path = made / "semantic" / split / image["file_name"]
            labels = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
            expected = np.zeros((96, 130), np.uint8)
            for annotation in coco.imgToAnns[image["id"]]:
                place = [1, 2, 4, 5, 7, 9].index(annotation["category_id"])
                expected[coco.annToMask(annotation) == 1] = 1 + place
            assert np.array_equal(labels, expected)
            assert labels.any()


def test_run_lengths_go_down_the_columns_and_begin_with_the_zeros():
    mask = np.array([[0, 1, 1], [1, 1, 0]], bool)
    assert run_lengths(mask) == dict(counts=[1, 4, 1], size=[2, 3])
    assert run_lengths(~mask) == dict(counts=[0, 1, 4, 1], size=[2, 3])
    assert run_lengths(mask & False) == dict(counts=[6], size=[2, 3])


def test_a_square_with_a_hole_becomes_polygons_without_one():
    mask = np.zeros((9, 12), bool)
    mask[1:8, 2:10] = True
    mask[3:5, 4:8] = False
    halves = polygons(mask)
    assert len(halves) == 2
    assert np.array_equal(as_mask(halves, mask.shape), mask)


def test_pycocotools_reads_polygons_and_run_lengths_back_as_the_same_pixels():
    rng = np.random.default_rng(0)
    holes = 0
    for number in range(60):
        size = (64 + number % 7, 90)
        # A random texture with one-pixel holes, bridges and corners is harder than any
        # scene.
        rough = cv2.GaussianBlur(rng.random(size), (0, 0), 1.5) > 0.5
        _, seen = render(*random_scene(rng, size, (3, 8), crowds=0.3))
        for mask in (rough, *(mask for _, mask in seen)):
            for crowd in (False, True):
                segmentation = annotate(mask, crowd)["segmentation"]
                assert np.array_equal(as_mask(segmentation, size), mask)
            holes += cv2.connectedComponents(1 - mask.astype(np.uint8))[0] > 2
    assert holes > 20


def test_a_covered_object_is_what_is_seen_of_it():
    behind, front = box(1, 10, 10, 50, 50, 100), box(2, 30, 5, 70, 55, 200)
    image, seen = render(np.zeros((60, 80, 3)), [behind, front])
    (first, part), (second, whole) = seen
    assert (first, second) == (behind, front)
    assert part.sum() == 20 * 40
    assert part[10:50, 10:30].all()
    assert whole.sum() == 40 * 50
    assert (image[part] == 100).all()
    assert (image[whole] == 200).all()
    assert (image[~part & ~whole] == 0).all()


def test_a_nearly_hidden_object_is_in_neither_the_image_nor_the_annotations():
    hidden, front = box(1, 10, 10, 50, 50, 100), box(2, 19, 5, 70, 55, 200)
    image, seen = render(np.zeros((60, 80, 3)), [hidden, front])  # 9 of 40 columns
    assert [thing for thing, _ in seen] == [front]
    assert not (image == 100).any()
    # Just enough: 10 of 40 columns are a quarter.
    enough = box(2, 20, 5, 70, 55, 200)
    assert len(render(np.zeros((60, 80, 3)), [hidden, enough])[1]) == 2


def test_what_a_nearly_hidden_object_was_hiding_is_seen():
    far = box(1, 10, 10, 30, 30, 50)
    hidden = box(2, 10, 10, 50, 30, 100)  # covers all of far, and shows 9 of 40 columns
    front = box(4, 19, 10, 50, 30, 150)
    _, seen = render(np.zeros((60, 80, 3)), [far, hidden, front])
    assert [thing for thing, _ in seen] == [far, front]
    assert seen[0][1].sum() == 9 * 20


def test_most_of_an_object_outside_the_image_counts_as_hidden():
    outside = box(1, -35, 10, 5, 50, 100)  # 5 of 40 columns are in the image
    assert render(np.zeros((60, 80, 3)), [outside])[1] == []


def test_every_category_is_drawn_and_overlaps_happen():
    rng = np.random.default_rng(0)
    drawn, partly = set(), 0
    for _ in range(40):
        _, seen = render(*random_scene(rng, (96, 96), (1, 8), crowds=0))
        drawn |= {thing.category for thing, _ in seen}
        partly += sum(m.sum() < 0.9 * t.area() for t, m in seen)
    assert drawn == set(CATEGORIES.values())
    assert partly > 20


def test_mmdet_reads_it(made):
    pytest.importorskip("mmdet")
    from mmdet.datasets import CocoDataset

    names = tuple(shape.__name__ for shape in CATEGORIES)
    dataset = CocoDataset(
        data_root=str(made),
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        metainfo=dict(classes=names),
    )
    instances = [i for n in range(12) for i in dataset.get_data_info(n)["instances"]]
    assert {i["bbox_label"] for i in instances} <= set(range(6))
    assert {i["ignore_flag"] for i in instances} == {0, 1}


def test_a_finished_data_set_is_left_alone(made, capsys):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    make_tiny_coco.main([str(made), *FEW])
    assert "nothing to do" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*")} == before


def test_other_arguments_and_other_contents_are_refused(made, tmp_path):
    with pytest.raises(ConfigError, match=r"holds a data set made with .* delete it"):
        make_tiny_coco.main([str(made), *FEW, "--seed", "3"])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else: delete it or name"):
        make_tiny_coco.main([str(tmp_path), *FEW])
    with pytest.raises(ConfigError, match="holds something else"):
        make_tiny_coco.main([str(tmp_path / "notes.txt"), *FEW])
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_killed_run_leaves_no_data_set_and_the_next_run_makes_it(made, tmp_path):
    target, unfinished = tmp_path / "tiny", tmp_path / ".tiny.unfinished"
    command = [sys.executable, str(FOLDER / "make_tiny_coco.py"), str(target)]
    run = subprocess.Popen([*command, "--train", "100000"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (unfinished / "train2017" / "000000000009.jpg").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not target.exists()
    assert unfinished.exists()
    make_tiny_coco.main([str(target), *FEW])
    assert contents(target) == contents(made)
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--train", "0"], "argument --train: 0 is not 1 or more"),
        (["--size", "32", "160"], "argument --size: 32 is not 64 or more"),
        (["--objects", "0", "2"], "argument --objects: 0 is not 1 or more"),
        (["--seed", "-1"], "argument --seed: -1 is not 0 or more"),
        (["--objects", "5", "2"], "--objects [5, 2] is not MIN <= MAX"),
        (["--crowds", "1.5"], "--crowds 1.5 is not 0 to 1"),
    ],
)
def test_a_wrong_argument_is_named_and_ends_with_code_2(
    arguments, sentence, launch, capsys
):
    with pytest.raises(SystemExit) as ended:
        launch("data/make_tiny_coco.py", "x", *arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {sentence}\n")
    assert not list(Path().iterdir())


def test_a_folder_that_cannot_be_written_ends_in_one_sentence(launch, capsys):
    Path("file").write_text("")
    with pytest.raises(SystemExit) as ended:
        launch("data/make_tiny_coco.py", "file/tiny", *FEW)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: file/tiny can't be written: ")
    assert said.count("\n") == 1
