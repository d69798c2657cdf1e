"""In the far-cue data nothing but the mark tells the class, and it is far away."""

from pathlib import Path

import cv2
import make_far_cue
import numpy as np
import pytest
from pycocotools.coco import COCO

from nlse_mm.errors import ConfigError

FOLDER = Path(__file__).parents[2] / "tools" / "data"

FEW = ["--train", "9", "--val", "4"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "far_cue"
    make_far_cue.main([str(root), *FEW])
    return root


def contents(root):
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in paths}


def drawn(number, colour, cue):
    return make_far_cue.draw(np.random.default_rng(number), colour, cue)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path):
    make_far_cue.main([str(tmp_path / "again"), *FEW])
    make_far_cue.main([str(tmp_path / "other"), *FEW, "--seed", "1"])
    assert contents(tmp_path / "again") == contents(made)
    first = "train2017/000000000001.jpg"
    assert contents(tmp_path / "other")[first] != contents(made)[first]


@pytest.mark.parametrize("cue", make_far_cue.CUES)
def test_only_the_mark_differs_between_the_classes(cue):
    for number in range(50):
        red, boxes = drawn(number, "red", cue)
        blue, same_boxes = drawn(number, "blue", cue)
        assert boxes == same_boxes
        columns = np.flatnonzero((red != blue).any((0, 2)))
        assert columns.size
        # The images are halved: 60 of the backbone's pixels, more than the 49 that a
        # cell sees to each side and the 8 to the cell from which RoIAlign may read.
        assert min(x for x, *_ in boxes) - columns.max() > 120


def test_the_jpegs_that_are_read_differ_at_the_mark_only(monkeypatch, tmp_path):
    colours = make_far_cue.COLOURS
    make_far_cue.main([str(tmp_path / "one"), *FEW])
    swapped = {"red": colours["blue"], "blue": colours["red"]}
    monkeypatch.setattr(make_far_cue, "COLOURS", swapped)
    make_far_cue.main([str(tmp_path / "two"), *FEW])
    for path in (tmp_path / "one").rglob("*.jpg"):
        one = cv2.imread(str(path))
        two = cv2.imread(str(tmp_path / "two" / path.relative_to(tmp_path / "one")))
        assert (one != two).any()
        assert np.array_equal(one[:, 48:], two[:, 48:])


def test_the_class_is_the_marks_colour_and_half_of_the_images_have_each(made):
    ids = []
    for split, count in (("train2017", 9), ("val2017", 4)):
        coco = COCO(str(made / f"annotations/instances_{split}.json"))
        names = {c["id"]: c["name"] for c in coco.dataset["categories"]}
        kinds = []
        for image in coco.imgs.values():
            pixels = cv2.imread(str(made / split / image["file_name"])).astype(int)
            assert pixels.shape == (image["height"], image["width"], 3)
            redness = pixels[:, :48, 2] - pixels[:, :48, 0]
            kind = "red" if redness.sum() > 0 else "blue"
            assert abs(redness.sum()) > 100 * 140 / 2
            objects = coco.imgToAnns[image["id"]]
            assert {names[o["category_id"]] for o in objects} == {kind}
            kinds.append(kind)
        assert kinds.count("red") == (count + 1) // 2
        ids += coco.getImgIds()
    assert len(set(ids)) == 13


def test_a_box_is_the_edge_of_its_square(made):
    for number in range(50):
        pixels, boxes = drawn(number, "red", "small")
        grey = pixels[..., 1].astype(int)
        assert 1 <= len(boxes) <= 3
        for x, y, w, h in boxes:
            inside = grey[y : y + h, x : x + w]
            assert inside.std() < 6  # flat, but for the noise of 4
            left, right = grey[y : y + h, x - 2 : x], grey[y : y + h, x + w : x + w + 2]
            for outside in (left, right):
                if outside.size:
                    assert abs(outside.mean() - inside.mean()) > 12
    coco = COCO(str(made / "annotations/instances_val2017.json"))
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        x, y, w, h = annotation["bbox"]
        assert mask[y : y + h, x : x + w].all()
        assert mask.sum() == annotation["area"] == w * h


def test_the_marks_have_the_shares_of_the_image_that_the_help_states():
    rng = np.random.default_rng(0)
    discs = [make_far_cue.cover(rng, "small").mean() for _ in range(20)]
    assert 0.0132 < min(discs) <= max(discs) < 0.0144  # none is cut by the border
    assert make_far_cue.cover(rng, "large").mean() == 48 / 256


def test_squares_never_touch():
    for number in range(300):
        boxes = make_far_cue.place_squares(np.random.default_rng(number))
        canvas = np.zeros((128, 256), int)
        for x, y, w, h in boxes:
            assert 0 < y < y + h < 128
            assert x + w < 256
            canvas[y - 1 : y + h + 1, x - 1 : x + w + 1] += 1
        assert canvas.max() == 1


def test_a_finished_data_set_is_left_alone_and_another_is_refused(made, capsys):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    make_far_cue.main([str(made), *FEW])
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"holds a data set made with .* delete it"):
        make_far_cue.main([str(made), *FEW, "--cue", "large"])
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*")} == before


def test_what_stops_in_the_middle_leaves_no_data_set(monkeypatch, made, tmp_path):
    def full(*_):
        raise OSError("no space left")

    target = tmp_path / "far_cue"
    monkeypatch.setattr(make_far_cue, "annotation", full)
    with pytest.raises(ConfigError, match=r"far_cue can't be written: no space"):
        make_far_cue.main([str(target), *FEW])
    assert not list(tmp_path.iterdir())
    # As a killed run leaves it.
    (tmp_path / ".far_cue.unfinished" / "train2017").mkdir(parents=True)
    monkeypatch.undo()
    make_far_cue.main([str(target), *FEW])
    assert contents(target) == contents(made)
    assert [p.name for p in tmp_path.iterdir()] == ["far_cue"]


def test_a_training_on_it_prints_the_class_accuracy(launch, capfd):
    pytest.importorskip("mmdet")
    make_far_cue.main(["data/far_cue", "--train", "8", "--val", "2"])
    leaf = FOLDER.parents[1] / "configs" / "tiny" / "far_cue_faster_rcnn_r18_nl.py"
    options = ["train_cfg.max_epochs=1", "train_dataloader.num_workers=0"]
    options += ["train_dataloader.persistent_workers=False"]
    options += ["val_dataloader.num_workers=0"]
    launch("train.py", leaf, "--cfg-options", *options)
    printed = capfd.readouterr()
    assert "matched/class_accuracy: " in printed.out + printed.err
    assert "coco/bbox_mAP: " in printed.out + printed.err
