"""COCO panoptic for semantic segmentation lists labels, in the order of its classes."""

import json
from pathlib import Path

import pytest

pytest.importorskip("mmseg")

from mmengine.registry import DATASETS, DefaultScope

from nlse_mm.segmentation import CocoPanopticSemanticDataset

REAL = Path(__file__).parents[2] / "data" / "coco"


def build(root, **kwargs):
    prefix = dict(img_path="train2017", seg_map_path="semantic/train2017")
    cfg = dict(
        type="nlse_mm.CocoPanopticSemanticDataset",
        data_root=str(root),
        data_prefix=prefix,
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        return DATASETS.build(cfg | kwargs)


def names(dataset):
    infos = [dataset.get_data_info(n) for n in range(len(dataset))]
    return [(Path(i["img_path"]).name, Path(i["seg_map_path"]).name) for i in infos]


def test_images_without_labels_are_left_out(folder):
    assert names(build(folder)) == [
        ("000000000003.jpg", "000000000003.png"),
        ("000000000009.jpg", "000000000009.png"),
    ]


def test_a_list_of_names_takes_the_place_of_the_listing(folder):
    (folder / "few.txt").write_text("000000000009\n")
    assert names(build(folder, ann_file="few.txt")) == [
        ("000000000009.jpg", "000000000009.png")
    ]


def test_a_half_written_label_is_not_listed(folder):
    (folder / "semantic" / "train2017" / ".000000000005.png.77").write_bytes(b"")
    assert len(build(folder)) == 2


def test_there_are_133_classes_of_133_colours_things_first():
    meta = CocoPanopticSemanticDataset.METAINFO
    assert len(set(meta["classes"])) == 133
    assert len({tuple(colour) for colour in meta["palette"]}) == 133
    assert meta["classes"][79:81] == ("toothbrush", "banner")
    assert meta["classes"][-1] == "rug-merged"


@pytest.mark.real_data
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_the_classes_are_those_of_cocos_own_file_in_its_order(split):
    path = REAL / "annotations" / f"panoptic_{split}.json"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    categories = json.loads(path.read_text())["categories"]
    classes = CocoPanopticSemanticDataset.METAINFO["classes"]
    assert tuple(c["name"] for c in categories) == classes


def test_no_labels_at_all_is_one_sentence_with_the_tool_that_makes_them(folder):
    prefix = dict(img_path="train2017", seg_map_path="semantic/val2017")
    sentence = (
        r"^data_prefix.seg_map_path: there are no \*\.png in .*semantic/val2017; "
        r"tools/data/panoptic_to_semantic\.py makes them$"
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        build(folder, data_prefix=prefix)


def test_a_label_whose_image_is_missing_is_named(folder):
    (folder / "train2017" / "000000000009.jpg").unlink()
    sentence = "1 of the 2 labels in .* have no image in .* 000000000009.jpg$"
    with pytest.raises(FileNotFoundError, match=sentence):
        build(folder)
