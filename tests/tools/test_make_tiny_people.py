"""The stick figures are repeatable, and what their file says is what is drawn."""

import json
from pathlib import Path

import cv2
import make_tiny_people
import numpy as np
import pytest

from nlse_mm.errors import ConfigError

FEW = ["--train", "30", "--val", "2", "--size", "120", "144"]
NAMES = make_tiny_people.NAMES


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "people"
    make_tiny_people.main([str(root), *FEW])
    return root


def people_of(root, split="train2017"):
    path = root / "annotations" / f"person_keypoints_{split}.json"
    return json.loads(path.read_text())


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*.*")}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path):
    make_tiny_people.main([str(tmp_path / "again"), *FEW])
    make_tiny_people.main([str(tmp_path / "other"), *FEW, "--seed", "1"])
    assert contents(tmp_path / "again") == contents(made)
    first = Path("train2017/000000000001.jpg")
    assert contents(tmp_path / "other")[first] != contents(made)[first]


def test_some_keypoints_are_seen_some_hidden_and_some_outside(made):
    seen = set()
    for annotation in people_of(made)["annotations"]:
        keypoints = np.reshape(annotation["keypoints"], (17, 3))
        seen |= set(keypoints[:, 2].tolist())
        labelled = keypoints[:, 2] > 0
        assert annotation["num_keypoints"] == labelled.sum()
        assert (keypoints[~labelled] == 0).all()
        x, y, w, h = annotation["bbox"]
        inside = (keypoints[:, :2] + 0.5 >= (x, y)) & (
            keypoints[:, :2] + 0.5 <= (x + w, y + h)
        )
        assert inside[labelled].all()
        assert (keypoints[:, :2] < (144, 120)).all()
    assert seen == {0, 1, 2}


def test_a_seen_wrist_has_the_colour_of_its_side(made):
    content = people_of(made)
    right = dict(left=0, right=0)
    total = dict(left=0, right=0)
    for annotation in content["annotations"]:
        image = content["images"][annotation["image_id"] - 1]
        pixels = cv2.imread(str(made / "train2017" / image["file_name"]))
        keypoints = np.reshape(annotation["keypoints"], (17, 3))
        for side, colour in (
            ("left", make_tiny_people.LEFT),
            ("right", make_tiny_people.RIGHT),
        ):
            x, y, visibility = keypoints[NAMES.index(f"{side}_wrist")]
            if visibility == 2:
                pixel = pixels[y, x].astype(int)
                total[side] += 1
                right[side] += np.abs(pixel - colour).max() < 90
    for side in total:  # another figure may stand in front of it
        assert total[side] > 10
        assert right[side] > 0.8 * total[side]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--train", "0"], "argument --train: 0 is not 1 or more"),
        (["--size", "40", "99"], "argument --size: 40 is not 96 or more"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        make_tiny_people.main([str(tmp_path / "new"), *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_same_figures_are_left_alone_and_anything_else_is_refused(made, capsys):
    before = contents(made)
    make_tiny_people.main([str(made), *FEW])
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"holds a data set made with .* delete it"):
        make_tiny_people.main([str(made), *FEW, "--seed", "1"])
    with pytest.raises(ConfigError, match="holds something else: delete it or name"):
        make_tiny_people.main([str(made / "annotations"), *FEW])
    assert contents(made) == before
