"""Semantic labels from panoptic ones: right, checked, and made to the end."""

import json
from pathlib import Path

import cv2
import numpy as np
import panoptic_to_semantic
import pytest

from nlse_mm.errors import ConfigError

ROOT = Path(__file__).parents[2]

REAL = ROOT / "data" / "coco"


def colours(ids):
    """COCO's encoding: id = R + 256 G + 65536 B; OpenCV writes B, G, R."""
    return np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=2).astype(np.uint8)


@pytest.fixture
def coco(tmp_path):
    """Three images of 4 x 6: a person (id 1), a banner (id 92), and nothing."""
    ids = np.zeros((4, 6), int)
    ids[:2], ids[2:, :3] = 5_000_001, 70_000  # needs all three channels
    segments = [
        dict(id=5_000_001, category_id=92, area=12),
        dict(id=70_000, category_id=1, area=6),
    ]
    names = [f"{n:012d}.png" for n in (4, 7, 8)]
    folder = tmp_path / "annotations" / "panoptic_val2017"
    folder.mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(folder / name), colours(ids))
    content = dict(
        images=[],
        annotations=[dict(file_name=n, segments_info=segments) for n in names],
        categories=[dict(id=1, name="person"), dict(id=92, name="banner")],
    )
    folder.with_suffix(".json").write_text(json.dumps(content))
    return tmp_path


def run(root, *arguments):
    panoptic_to_semantic.main(
        [str(root), "--splits", "val2017", "--workers", "1", *arguments]
    )


def edit(root, change):
    path = root / "annotations" / "panoptic_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def labels(root):
    paths = sorted((root / "semantic" / "val2017").iterdir())
    return {p.name: cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in paths}


def test_a_label_is_the_categorys_place_in_the_list_and_255_is_nothing(coco):
    run(coco)
    made = labels(coco)
    assert list(made) == [f"{n:012d}.png" for n in (4, 7, 8)]
    for found in made.values():
        assert found.dtype == np.uint8
        assert (found[:2] == 1).all()
        assert (found[2:, :3] == 0).all()
        assert (found[2:, 3:] == 255).all()


def test_it_goes_on_where_it_was_stopped(coco, capsys):
    run(coco)
    folder = coco / "semantic" / "val2017"
    (folder / "000000000007.png").unlink()
    (folder / "000000000004.png").write_bytes(b"mine")
    run(coco)
    assert "1 labels made, 2 kept" in capsys.readouterr().out
    assert len(labels(coco)) == 3
    assert (folder / "000000000004.png").read_bytes() == b"mine"


def test_verify_finds_wrong_missing_and_broken_labels(coco, capsys):
    run(coco)
    run(coco, "--verify")
    assert "3 labels compared" in capsys.readouterr().out
    folder = coco / "semantic" / "val2017"
    wrong = labels(coco)["000000000004.png"]
    wrong[0, :2] = 0
    cv2.imwrite(str(folder / "000000000004.png"), wrong)
    (folder / "000000000007.png").unlink()
    cv2.imwrite(str(folder / "000000000008.png"), wrong[:3])
    with pytest.raises(ConfigError, match="3 images are wrong"):
        run(coco, "--verify")
    sentences = capsys.readouterr().err
    assert "000000000004.png has 2 wrong pixels." in sentences
    assert "000000000007.png is missing or can't be read" in sentences
    assert "000000000008.png is (3, 6), not (4, 6)." in sentences


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda segments: segments[1].update(area=5),
            "segment 70000 has 6 pixels, its annotation says 5.",
        ),
        (
            lambda segments: segments.pop(),
            "segment 70000 has 6 pixels, its annotation says 0.",
        ),
        (
            lambda segments: segments.append(dict(id=9, category_id=1, area=3)),
            "segment 9 has 0 pixels, its annotation says 3.",
        ),
        (
            lambda segments: segments[0].update(category_id=3),
            "no category has the id 3.",
        ),
    ],
)
def test_an_image_that_its_annotation_doesnt_describe_is_not_written(
    coco, capsys, change, sentence
):
    edit(coco, lambda content: change(content["annotations"][1]["segments_info"]))
    with pytest.raises(ConfigError, match="1 images are wrong"):
        run(coco)
    assert f"000000000007.png: {sentence}" in capsys.readouterr().err
    assert list(labels(coco)) == ["000000000004.png", "000000000008.png"]


def test_other_files_and_arguments_end_in_one_sentence(coco, tmp_path):
    with pytest.raises(ConfigError, match=r"panoptic_train2017\.json does not exist"):
        run(coco, "--splits", "train2017")
    edit(coco, lambda content: content["categories"][1].pop("id"))
    with pytest.raises(ConfigError, match=r"val2017\.json: categories\[1\] has no id"):
        run(coco)
    edit(coco, lambda content: content.pop("categories"))
    with pytest.raises(ConfigError, match=r"val2017\.json has no categories"):
        run(coco)
    many = [dict(id=n) for n in range(256)]
    edit(coco, lambda content: content.update(categories=many))
    with pytest.raises(
        ConfigError, match="256 categories, and a byte has room for 255"
    ):
        run(coco)
    with pytest.raises(SystemExit) as caught:
        run(coco, "--workers", "0")
    assert caught.value.code == 2


@pytest.mark.real_data
def test_labels_of_real_images_equal_those_made_elsewhere():
    if not (REAL / "semantic").is_dir() or not (REAL / "annotations").is_dir():
        pytest.skip(f"needs {REAL} with panoptic annotations and semantic labels")
    panoptic_to_semantic.main([str(REAL), "--splits", "val2017", "--verify"])
