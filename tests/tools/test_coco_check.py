"""Annotation files of stock detection are checked before anything is built."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from nlse_mm.errors import ConfigError
from nlse_mm.training.data_files import check_data_files, fill_ann_files

pytest.importorskip("mmdet")
NAN = float("nan")
CONFIGS = Path(__file__).parents[2] / "configs"
CLASSES = ("person", "dog")


def content():
    image = dict(id=1, file_name="1.jpg", width=120, height=90)
    annotation = dict(
        id=1,
        image_id=1,
        category_id=1,
        bbox=[30, 30, 40, 50],
        area=2000.0,
        iscrowd=0,
        segmentation=[[30, 30, 70, 30, 70, 80, 30, 80]],
    )
    return dict(
        images=[image, dict(image, id=2, file_name="2.jpg")],
        annotations=[annotation, dict(annotation, id=2, image_id=2, category_id=2)],
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)],
    )


TEXT = json.dumps(content())


def on(which, key, *value):
    def change(found):
        entry = found[which][0] if which else found
        if value:
            entry[key] = value[0]
        else:
            del entry[key]

    return change


def other_ids(found):
    for image, annotation in zip(found["images"], found["annotations"], strict=True):
        image["id"] = annotation["image_id"] = image["id"] + 100


def text_ids(found):
    for image, annotation in zip(found["images"], found["annotations"], strict=True):
        image["id"] = annotation["image_id"] = str(image["id"])


def other_order(found):
    found["categories"].reverse()


def category_twice(found):
    found["categories"].append(dict(id=7, name="person"))


def one_image_less(found):
    del found["images"][1]


def unread(found):
    """What neither data set nor metric reads may be wrong."""
    first = dict(found["annotations"][0])
    del first["area"], first["iscrowd"]
    found["annotations"] += [
        dict(id=3, image_id=77, category_id=1),
        dict(id=4, image_id=1, category_id=9, bbox=[0, 0, 9, 9], area=81),
    ]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "val", "truth"):
        Path(f"{name}.json").write_text(TEXT)

    def write(name, what):
        path = Path(f"{name}.json")
        if isinstance(what, bytes):
            path.write_bytes(what)
        elif what is None:
            path.unlink()
            path.mkdir()
        else:
            found = content()
            what(found)
            path.write_text(json.dumps(found))

    return write


def config(**evaluator):
    def loader(name, **kwargs):
        dataset = dict(type="CocoDataset", ann_file=f"{name}.json", **kwargs)
        return dict(dataset=dataset | dict(metainfo=dict(classes=CLASSES)))

    return Config(
        dict(
            default_scope="mmdet",
            train_dataloader=loader("train", filter_cfg=dict(min_size=32)),
            val_dataloader=loader("val", test_mode=True),
            val_evaluator=dict(type="CocoMetric", metric=["bbox", "segm"])
            | dict(ann_file="truth.json")
            | evaluator,
        )
    )


def refusal(cfg):
    with pytest.raises(ConfigError) as caught:
        check_data_files(cfg, "train", "val")
    return str(caught.value)


FILES = {
    "cut short": (TEXT[:300].encode(), "is cut short"),
    "bare list": (b"[]", "holds a list, not COCO's object"),
    "folder": (None, "is a folder, not an annotation file"),
    "empty": (b"", "is empty"),
    "latin-1": (
        TEXT.replace("1.jpg", "é.jpg").encode("latin-1"),
        "is not a text in UTF",
    ),
    "mark": (b"\xef\xbb\xbf" + TEXT.encode(), "is UTF-8-SIG, by the bytes it begins"),
    "utf-16": (TEXT.encode("utf-16"), "is UTF-16, by the bytes it begins with"),
    "no images": (on("", "images"), "has no images: its keys are ['annotations'"),
    "images empty": (on("", "images", []), "images is empty"),
    "no categories": (on("", "categories"), "has no categories"),
    "image a number": (on("", "images", [5]), "images[0] is a number, not an object"),
    "image without id": (on("images", "id"), "images[0] has no id"),
    "no id": (on("annotations", "id"), "annotations[0] has no id"),
    "no image_id": (on("annotations", "image_id"), "annotations[0] has no image_id"),
    "no category_id": (on("annotations", "category_id"), "has no category_id"),
    "image_id a list": (on("annotations", "image_id", [1]), "image_id=[1] is not an"),
    "no bbox": (on("annotations", "bbox"), "annotations[0] (id 1) has no bbox"),
    "bbox null": (on("annotations", "bbox", None), "annotations[0] (id 1) has no bbox"),
    "bbox of texts": (on("annotations", "bbox", list("abcd")), "bbox=['a', 'b'"),
    "bbox with NaN": (on("annotations", "bbox", [NAN, 1, 2, 3]), "bbox=[nan, 1, 2, 3]"),
    "id twice": (on("annotations", "id", 2), "id is another one's, too"),
    "no area": (on("annotations", "area"), "annotations[0] (id 1) has no area"),
    "area a text": (
        on("annotations", "area", "9"),
        "(id 1) has area='9', which is not",
    ),
}
DATA_SETS = {
    "no annotations": (on("", "annotations"), "has no annotations"),
    "no width": (on("images", "width"), "images[0] has no width"),
    "width a text": (on("images", "width", "120"), "width='120' of its image is not"),
    "no file_name": (on("images", "file_name"), "images[0] has no file_name"),
    "file_name null": (on("images", "file_name", None), "file_name=None is not a name"),
    "width 0": (
        on("images", "width", 0),
        "its image is 0 x 90 pixels (width x height)",
    ),
    "category twice": (category_twice, "has 2 categories 'person'"),
}
METRICS = {
    "no annotations": (on("", "annotations"), "has no annotations"),
    "area NaN": (on("annotations", "area", NAN), "(id 1) has area=nan, which is not"),
    "no iscrowd": (on("annotations", "iscrowd"), "(id 1) has no iscrowd, which pycoco"),
    "iscrowd null": (on("annotations", "iscrowd", None), "iscrowd=None is not 0 or 1"),
    "no mask": (on("annotations", "segmentation"), "(id 1) has no segmentation"),
    "mask empty": (on("annotations", "segmentation", []), "(id 1) has no segmentation"),
    "mask flat": (on("annotations", "segmentation", [1] * 6), "is not a list of poly"),
    "mask of a point": (on("annotations", "segmentation", [[1, 2]]), "is neither poly"),
    "mask of nothing": (on("annotations", "segmentation", [[]]), "is neither polygons"),
    "mask half": (on("annotations", "segmentation", {"size": [90, 120]}), "is neither"),
    "category twice": (category_twice, "has 2 categories 'person'"),
    "other ids": (
        other_ids,
        "has no image with the id 1, nor 1 others of the",
    ),
    "text ids": (text_ids, "has no image with the id 1, nor 1 others of the 2"),
    "an image less": (one_image_less, "has no image with the id 2, nor 0 others"),
    "other order": (other_order, "label 0 is 'person' in the data, and 'dog' here"),
    "other category": (on("categories", "name", "cat"), "label 0 is 'person' in the"),
}


@pytest.mark.parametrize(
    ("what", "words"), (FILES | DATA_SETS).values(), ids=FILES | DATA_SETS
)
def test_a_data_sets_file_is_checked(write, what, words):
    write("train", what)
    said = refusal(config())
    assert said.startswith("train.json")
    assert words in said
    assert said.endswith("(train_dataloader.dataset.ann_file)")


@pytest.mark.parametrize(
    ("what", "words"), (FILES | METRICS).values(), ids=FILES | METRICS
)
def test_an_evaluators_file_is_checked_before_the_training(write, what, words):
    write("truth", what)
    said = refusal(config())
    assert said.startswith("truth.json")
    assert words in said
    assert said.endswith("(val_evaluator.ann_file)")


def test_masks_are_asked_for_where_the_pipeline_loads_them(write):
    write("train", on("annotations", "segmentation"))
    cfg = config(metric="bbox")
    check_data_files(cfg, "train", "val")
    load = dict(type="LoadAnnotations", with_bbox=True, with_mask=True)
    cfg.train_dataloader.dataset.pipeline = [
        dict(type="RandomOrder", transforms=[load])
    ]
    said = "annotations[0] (id 1) has no segmentation, which the pipeline (with_mask)"
    assert said in refusal(cfg)
    for flat in ([1] * 8, ["1,2,3,4,5,6"]):
        write("train", on("annotations", "segmentation", flat))
        assert "is not a list of polygons" in refusal(cfg)
    write("train", on("annotations", "segmentation", [[1, 2]]))  # stock leaves it out
    check_data_files(cfg, "train", "val")
    write("train", on("annotations", "bbox", [30, 30, 0.5, 50]))  # left out by stock
    check_data_files(cfg, "train", "val")


@pytest.mark.parametrize("name", ["train", "val", "truth"])
@pytest.mark.parametrize("what", [unread, lambda found: found.update(info=None)])
def test_what_stock_takes_and_counts_rightly_is_taken(write, name, what):
    write(name, what)
    check_data_files(config(), "train", "val")


def test_keys_that_only_another_use_reads_may_be_missing(write):
    for name in ("train", "val"):
        write(name, on("annotations", "iscrowd"))
    write("truth", on("annotations", "segmentation"))
    check_data_files(config(metric="bbox"), "train", "val")
    write("val", on("", "annotations"))  # images to test on
    write("truth", on("", "annotations"))
    check_data_files(config(format_only=True), "train", "val")


def test_ids_may_be_texts_in_both_files(write):
    for name in ("val", "truth"):
        write(name, text_ids)
    check_data_files(config(), "train", "val")


def test_an_evaluator_may_have_more_images_and_categories(write):
    def more(found):
        found["images"].append(dict(found["images"][0], id=3))
        found["categories"].insert(0, dict(id=9, name="cat"))

    write("truth", more)
    check_data_files(config(), "train", "val")
    # A class of the model's that the validation data don't have.
    write("val", lambda found: found["categories"].pop())
    check_data_files(config(), "train", "val")


def test_a_part_of_the_data_may_be_evaluated(write):
    write("truth", one_image_less)
    cfg = config()
    cfg.val_dataloader.dataset.indices = 1
    check_data_files(cfg, "train", "val")
    write("truth", other_ids)
    assert "has no image with the id 1" in refusal(cfg)


def test_lists_and_wrappers_are_followed(write):
    write("truth", other_ids)
    cfg = config()
    stock = cfg.val_dataloader.dataset
    cfg.val_evaluator = [dict(type="DumpDetResults"), cfg.val_evaluator]
    assert refusal(cfg).endswith("(val_evaluator[1].ann_file)")
    cfg.val_dataloader.dataset = dict(type="RepeatDataset", times=1, dataset=stock)
    assert "has no image" in refusal(cfg)
    train = dict(stock, ann_file="train.json")
    both = dict(type="ConcatDataset", datasets=[train, stock])
    cfg.val_dataloader.dataset = both
    assert "has no image" in refusal(cfg)
    # A metric each: the second one's file is the second data set's.
    good = dict(type="CocoMetric", ann_file="train.json")
    metrics = [good, cfg.val_evaluator[1]]
    cfg.val_evaluator = dict(type="MultiDatasetsEvaluator", metrics=metrics)
    said = refusal(cfg)
    assert "val.json" in said
    assert said.endswith("(val_evaluator.metrics[1].ann_file)")


def test_a_panoptic_file_is_told_from_an_instances_file(write):
    cfg = config()
    cfg.train_dataloader.dataset = dict(
        type="CocoPanopticDataset", ann_file="train.json"
    )
    assert "annotations[0] has no segments_info: a panoptic_*.json" in refusal(cfg)


def test_a_data_set_that_reads_its_own_way_is_left_alone(write):
    write("train", b"nothing that COCO's tools know")
    cfg = config()
    cfg.train_dataloader.dataset.type = "LVISV1Dataset"
    check_data_files(cfg, "train", "val")


def test_the_other_processes_of_a_machine_read_nothing(write, monkeypatch):
    write("train", b"")
    cfg = config()
    cfg.launcher = "pytorch"
    monkeypatch.setenv("LOCAL_RANK", "1")
    check_data_files(cfg, "train", "val")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert "train.json is empty" in refusal(cfg)


def test_a_large_file_is_not_parsed_twice(write, monkeypatch):
    for name in ("coco_json", "coco_check"):
        monkeypatch.setattr(f"nlse_mm.validation.{name}.SMALL", 100)
    cfg = config(ann_file="val.json")
    with monkeypatch.context() as forbidden:
        forbidden.setattr("nlse_mm.validation.coco_check.read_object", pytest.fail)
        check_data_files(cfg, "train", "val")
    write("val", TEXT[:300].encode())
    assert "val.json is cut short" in refusal(cfg)


def test_a_keypoint_metric_without_a_file_gets_the_data_sets(write):
    cfg = config()
    cfg.val_evaluator = dict(type="nlse_mm.CocoKeypointMetric")
    cfg.val_dataloader.dataset.data_root = "data"
    fill_ann_files(cfg, "val")
    assert cfg.val_evaluator.ann_file == "data/val.json"
    cfg.val_evaluator = [dict(type="CocoMetric"), dict(cfg.val_evaluator, ann_file="a")]
    fill_ann_files(cfg, "val")
    assert "ann_file" not in cfg.val_evaluator[0]
    assert cfg.val_evaluator[1].ann_file == "a"
    two = [cfg.val_dataloader.dataset] * 2
    cfg.val_dataloader.dataset = dict(type="ConcatDataset", datasets=two)
    cfg.val_evaluator = dict(type="nlse_mm.CocoKeypointMetric")
    fill_ann_files(cfg, "val")
    assert "ann_file" not in cfg.val_evaluator


KEYPOINTS = f"""
_base_ = '{CONFIGS}/tiny/keypoint_rcnn_r18_nl.py'
train_dataloader = dict(dataset=dict(data_root='', ann_file='people.json'))
val_dataloader = dict(dataset=dict(data_root='', ann_file='people.json'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='truth.json')
test_evaluator = val_evaluator
"""


def people():
    found = content()
    for image in found["images"]:
        image["file_name"] = "1.jpg"
    for annotation in found["annotations"]:
        annotation.update(category_id=1, keypoints=[50, 50, 2] * 17)
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (on("annotations", "keypoints", [1, 2, 3]), "has 3 numbers in keypoints, not"),
        (other_ids, "truth.json has no image with the id 1, nor 1 others of the 2"),
        (on("categories", "keypoints", ["a", "b"]), "has 2 keypoints ('a', 'b') in"),
    ],
)
def test_a_keypoint_evaluators_file_is_checked_before_the_first_step(
    sentence_of, change, words
):
    Path("train2017").mkdir()
    Path("val2017").mkdir()
    Path("people.json").write_text(json.dumps(people()))
    found = people()
    change(found)
    Path("truth.json").write_text(json.dumps(found))
    Path("config.py").write_text(KEYPOINTS)
    assert words in sentence_of("train.py", "config.py", "--work-dir", "work")


@pytest.mark.parametrize("key", ["train", "val"])
def test_the_launcher_says_that_a_file_is_cut_short(sentence_of, key):
    for name in ("train", "val"):
        Path(f"{name}.json").write_text(TEXT[:300] if name == key else TEXT)
    loaders = "".join(
        f"{n}_dataloader = dict(dataset=dict(data_root='', ann_file='{n}.json', "
        "data_prefix=dict(img='')))\n"
        for n in ("train", "val")
    )
    Path("config.py").write_text(
        f"_base_ = '{CONFIGS}/tiny/mask_rcnn_r18.py'\n{loaders}"
        "val_evaluator = dict(ann_file='val.json')\n"
    )
    said = sentence_of("train.py", "config.py", "--work-dir", "work")
    assert f"error: {key}.json is cut short" in said
    assert said.endswith(f"({key}_dataloader.dataset.ann_file)")
