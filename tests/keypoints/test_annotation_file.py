"""What a keypoint file may lack, and what is refused, by data set and metric alike."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, METRICS
from pycocotools import mask as rle_tools
from small_keypoint_file import META, NAMES, small

from nlse_mm.keypoints.annotation_file import read_keypoints
from nlse_mm.keypoints.mask_extent import mask_extent
from nlse_mm.training.user_error import user_error
from nlse_mm.validation.coco_json import check_large

pytestmark = pytest.mark.usefixtures("in_mmdet")
REAL = Path("data/coco/annotations/person_keypoints_val2017.json")
NAN = float("nan")
KEYS = ("bbox", "area", "iscrowd", "keypoints", "num_keypoints", "id", "image_id")


def on(which, key, *value):
    """A change: ``key`` of the first entry gets the value, or is dropped."""

    def change(content):
        entry = content[which][0] if which else content
        if value:
            entry[key] = value[0]
        else:
            del entry[key]

    return change


def on_all(key, value=None):
    def change(content):
        for annotation in content["annotations"]:
            annotation.pop(key)
            if value is not None:
                annotation[key] = value

    return change


def on_keypoint(place, value):
    def change(content):
        content["annotations"][0]["keypoints"][place] = value

    return change


def as_texts(key):
    def change(content):
        for annotation in content["annotations"]:
            value = annotation[key]
            is_list = isinstance(value, list)
            annotation[key] = list(map(str, value)) if is_list else str(value)

    return change


def nested(content):
    first = content["annotations"][0]
    first["keypoints"] = np.reshape(first["keypoints"], (17, 3)).tolist()


def unlabelled_as_null(content):
    flat = content["annotations"][0]["keypoints"]
    flat[6:9] = None, None, 0
    flat[9:12] = None, None, None
    flat[12:15] = NAN, NAN, 0


def without_boxes(content):
    on_all("bbox")(content)
    on_all("area")(content)


def with_rle(content):
    mask = np.zeros((90, 120), np.uint8, order="F")
    mask[30:80, 30:70] = 1
    mask[30:80, 30:40] = 0
    mask[30, 30] = 1  # 1501 pixels, in the same box
    first = content["annotations"][0]
    rle = rle_tools.encode(mask)
    first["segmentation"] = dict(rle, counts=rle["counts"].decode())
    first["area"] = 1501.0
    return mask


SUPPLIED = {
    "no area": on_all("area"),
    "area null": on("annotations", "area", None),
    "area of a table's empty cell": on("annotations", "area", NAN),
    "area infinite": on("annotations", "area", float("inf")),
    "area 0": on("annotations", "area", 0),
    "area as text": as_texts("area"),
    "no bbox": on_all("bbox"),
    "bbox null": on("annotations", "bbox", None),
    "bbox empty": on("annotations", "bbox", []),
    "bbox as texts": as_texts("bbox"),
    "neither bbox nor area": without_boxes,
    "no iscrowd": on_all("iscrowd"),
    "iscrowd null": on("annotations", "iscrowd", None),
    "iscrowd false": on_all("iscrowd", False),
    "iscrowd as text": as_texts("iscrowd"),
    "no id": on_all("id"),
    "id null": on("annotations", "id", None),
    "id of another": on("annotations", "id", 2),
    "id 0": on("annotations", "id", 0),  # pycocotools: never matched
    "id a list": on("annotations", "id", [1]),
    "image_id as text": as_texts("image_id"),
    "image_id 1.0": on("annotations", "image_id", 1.0),
    "no category_id, one category": on_all("category_id"),
    "category_id as text": as_texts("category_id"),
    "no names": on("categories", "keypoints"),
    "names empty": on("categories", "keypoints", []),
    "names null": on("categories", "keypoints", None),
    "keypoints nested": nested,
    "keypoints as texts": as_texts("keypoints"),
    "unlabelled as null and NaN": unlabelled_as_null,
    "no num_keypoints": on_all("num_keypoints"),
    "num_keypoints wrong": on_all("num_keypoints", 7),
    "width as text": on("images", "width", "120"),
    "height 90.0": on("images", "height", 90.0),
    "an image listed twice": lambda c: c["images"].append(dict(c["images"][0])),
    "other keys": on("", "info", None),
}
REFUSED = {
    "area -5": (on("annotations", "area", -5), "(id 1): area=-5 is not a number"),
    "area a list": (on("annotations", "area", [1]), "(id 1): area=[1]"),
    "area true": (on("annotations", "area", True), "(id 1): area=True"),
    "area 1e30": (on("annotations", "area", 1e30), "(id 1): area=1e+30 is more"),
    "bbox with NaN": (on("annotations", "bbox", [NAN, 1, 2, 3]), "bbox=[nan, 1, 2, 3]"),
    "bbox with null": (on("annotations", "bbox", [1, None, 2, 3]), "bbox=[1, None"),
    "bbox of 3": (on("annotations", "bbox", [1, 2, 3]), "bbox=[1, 2, 3] is not four"),
    "bbox an object": (on("annotations", "bbox", dict(x=1)), "bbox={'x': 1}"),
    "bbox backwards": (on("annotations", "bbox", [70, 30, -40, 50]), "below 0"),
    "bbox far": (on("annotations", "bbox", [30, 30, 1e12, 5]), "bbox lies at 1000"),
    "bbox beyond floats": (on("annotations", "bbox", [10**400, 0, 1, 1]), "bbox=[1000"),
    "iscrowd yes": (on("annotations", "iscrowd", "yes"), "iscrowd='yes' is not 0 or"),
    "iscrowd 2": (on("annotations", "iscrowd", 2), "iscrowd=2 is not 0 or 1"),
    "ignore maybe": (on("annotations", "ignore", "maybe"), "ignore='maybe'"),
    "image_id null": (on("annotations", "image_id", None), "(id 1) has no image_id"),
    "image_id a list": (on("annotations", "image_id", [1]), "image_id=[1] is not an"),
    "image_id 1.5": (on("annotations", "image_id", 1.5), "image_id=1.5 is not an id"),
    "image_ids of no image": (on_all("image_id", 9), "of none of its 2 annotations"),
    "category_ids of none": (on_all("category_id", 9), "of none of its 2 annotations"),
    "category_id a list": (on("annotations", "category_id", [1]), "category_id=[1]"),
    "keypoints of 16": (
        on("annotations", "keypoints", [1] * 48),
        "annotations[0] (id 1) has 48 numbers in keypoints, not 51",
    ),
    "keypoints an object": (on("annotations", "keypoints", {"x": 1}), "keypoints={"),
    "x null": (on_keypoint(0, None), "keypoints has x=None, y=40 for 'nose'"),
    "y NaN": (on_keypoint(1, NAN), "keypoints has x=50, y=nan for 'nose'"),
    "x a word": (on_keypoint(0, "left"), "keypoints has x='left'"),
    "x 1e39": (on_keypoint(0, 1e39), "keypoints lies at 1e+39"),
    "visibility a word": (on_keypoint(2, "seen"), "visibility 'seen' for 'nose', not"),
    "visibility NaN": (on_keypoint(2, NAN), "visibility nan for 'nose'"),
    "visibility null": (on_keypoint(2, None), "visibility None for 'nose'"),
    "a text among annotations": (
        lambda content: content["annotations"].append("x"),
        "annotations[2] is a text, not an object",
    ),
    "names a text": (on("categories", "keypoints", "nose"), "categories[0]: keypoints"),
    "names numbers": (on("categories", "keypoints", [1] * 17), "not a list of names"),
    "other names": (on("categories", "keypoints", ["a", "b"]), "has 2 keypoints"),
    "no class name": (on("categories", "name"), "categories[0]: name=None"),
    "other class": (on("categories", "name", "dog"), "has no category ['person']"),
    "category without id": (on("categories", "id"), "categories[0] has no id"),
    "image without id": (on("images", "id"), "images[0] has no id"),
    "image id twice": (on("images", "id", 2), "images[1]: id=2 is another one's"),
    "image id twice, once as text": (on("images", "id", "2"), "images[1]: id=2 is"),
    "width 1e12": (on("images", "width", 1e12), "(id 1): width=1000000000000.0 is"),
    "width -1": (on("images", "width", -1), "images[0] (id 1): width=-1"),
    "width a word": (on("images", "width", "wide"), "width='wide'"),
    "file_name 5": (on("images", "file_name", 5), "file_name=5 is not a name"),
    "no images": (on("", "images"), "has no images: its keys are"),
    "images empty": (on("", "images", []), "images is empty"),
    "no annotations": (on("", "annotations"), "has no annotations: its keys are"),
    "annotations null": (on("", "annotations", None), "has no annotations"),
    "annotations an object": (on("", "annotations", {}), "annotations is an object"),
    "no categories": (on("", "categories"), "has no categories: its keys are"),
}
FOR_TRAINING = {
    "no width": (on("images", "width"), "images[0] (id 1) has no width"),
    "height null": (on("images", "height", None), "images[0] (id 1) has no height"),
    "no file_name": (on("images", "file_name"), "images[0] (id 1) has no file_name"),
}
TEXT = json.dumps(small())
FILES = {
    "cut short": (TEXT[:700].encode(), "is cut short"),
    "cut after a bracket": (TEXT[: TEXT.index("}") + 1].encode(), "is cut short"),
    "bare list": (json.dumps(small()["annotations"]).encode(), "holds a list, not"),
    "empty": (b"", "is empty"),
    "a new line": (b"\n", "is empty"),
    "gzip": (gzip.compress(TEXT.encode()), "is compressed (gzip)"),
    "latin-1": (TEXT.replace("1.png", "é.png").encode("latin-1"), "in UTF-8 (byte 36)"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(256), "is not a text in UTF-8"),
    "page": (b"<!DOCTYPE html><html></html>", "is not JSON: expecting value at line"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "text behind it": (f"{TEXT}}}".encode(), "is not JSON: extra data at line 1"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "long number": (b'{"images": ' + b"9" * 5000 + b"}", "thousands of digits"),
    "null": (b"null", "holds null, not"),
}


def dataset(path, **kwargs):
    config = dict(
        type="nlse_mm.CocoKeypointDataset",
        ann_file=str(path),
        data_prefix=dict(img=""),
        serialize_data=False,
        pipeline=[],
    )
    return DATASETS.build(config | kwargs)


def metric(path, **kwargs):
    config = dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path))
    built = METRICS.build(dict(config, metric=["bbox", "keypoints"], **kwargs))
    built.dataset_meta = META
    return built


def written(tmp_path, change):
    content = small()
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path / "a.json"


def the_sentence(call, path):
    with pytest.raises(ValueError, match=r".") as caught:
        call(path)
    said = user_error(caught.value)
    assert said is not None, caught.value
    assert said.startswith(str(path))
    return said


@pytest.mark.parametrize("change", SUPPLIED.values(), ids=SUPPLIED)
def test_what_a_file_lacks_is_supplied(tmp_path, change):
    found = read_keypoints(str(written(tmp_path, change)), ["person"], NAMES)
    for got, expected in zip(found["annotations"], small()["annotations"], strict=True):
        assert {key: got[key] for key in KEYS} == {key: expected[key] for key in KEYS}
        assert got["category_id"] == 1
    assert found["images"] == small()["images"]
    assert found["categories"][0]["keypoints"] == list(NAMES)


@pytest.mark.parametrize("change", SUPPLIED.values(), ids=SUPPLIED)
def test_data_set_and_metric_get_what_is_supplied(tmp_path, change):
    path = written(tmp_path, change)
    infos = dataset(path).data_list
    boxes = [[30, 30, 70, 80], [10, 20, 51, 51]]
    assert [[i["bbox"] for i in info["instances"]] for info in infos] == [
        [box] for box in boxes
    ]
    (nose,) = (info["instances"][0]["keypoints"][0] for info in infos[:1])
    assert nose.tolist() == [50.5, 40.5, 2]
    built = metric(path)
    for i, (box, annotation) in enumerate(
        zip(boxes, small()["annotations"], strict=True), 1
    ):
        built.results.append(detection(i, box, annotation["keypoints"]))
    values = built.compute_metrics(built.results)
    assert values["keypoints_mAP"] == values["bbox_mAP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "visible"),
    [(3, 2), (2.0, 2), ("2", 2), (True, 1), (0.9, 1), (-1, 0), (False, 0), ("0", 0)],
)
def test_a_keypoint_is_labelled_where_its_visibility_is_above_0(
    tmp_path, given, visible
):
    path = str(written(tmp_path, on_keypoint(2, given)))
    first = read_keypoints(path, ["person"], NAMES)["annotations"][0]
    assert first["keypoints"][:3] == ([50, 40, visible] if visible else [0, 0, 0])
    assert first["num_keypoints"] == 1 + bool(visible)


@pytest.mark.parametrize(
    "change",
    [
        dict(segmentation=[], ignore=1),
        dict(segmentation=[], bbox=[30, 30, 0.5, 50]),
        dict(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
    ],
)
def test_a_mask_that_nothing_reads_may_be_wrong(tmp_path, change):
    path = str(written(tmp_path, lambda c: c["annotations"][0].update(change)))

    def read():
        return read_keypoints(path, ["person"], NAMES, with_masks=True)

    with pytest.raises(ValueError, match=r"annotations\[1\] .* has no segmentation"):
        read()


def detection(image_id, box, keypoints):
    xy = np.reshape(keypoints, (1, 17, 3))[..., :2] + 0.5
    return dict(
        img_id=image_id,
        bboxes=np.array([box], float),
        scores=np.ones(1),
        labels=np.zeros(1, int),
        keypoints=xy,
        keypoint_scores=np.ones((1, 17)),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    (REFUSED | FOR_TRAINING).values(),
    ids=[*REFUSED, *FOR_TRAINING],
)
def test_the_data_set_refuses_in_one_sentence(tmp_path, change, words):
    assert words in the_sentence(dataset, written(tmp_path, change))


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_the_metric_refuses_before_it_is_used(tmp_path, change, words):
    assert words in the_sentence(metric, written(tmp_path, change))


@pytest.mark.parametrize(("change", "words"), FOR_TRAINING.values(), ids=FOR_TRAINING)
def test_the_metric_needs_no_names_and_sizes_of_images(tmp_path, change, words):
    path = written(tmp_path, change)
    assert metric(path).dataset_meta == META


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("call", [dataset, metric])
def test_a_file_of_another_kind_is_told(tmp_path, call, content, words):
    (tmp_path / "a.json").write_bytes(content)
    assert words in the_sentence(call, tmp_path / "a.json")


@pytest.mark.parametrize("call", [dataset, metric])
def test_a_folder_is_told(tmp_path, call):
    assert "is a folder" in the_sentence(call, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_read(tmp_path, encoding):
    (tmp_path / "a.json").write_text(TEXT, encoding=encoding)
    assert len(dataset(tmp_path / "a.json")) == 2
    assert metric(tmp_path / "a.json").dataset_meta == META


def test_a_file_without_names_or_keypoints_may_be_an_instances_file(tmp_path):
    path = written(tmp_path, lambda content: content["categories"][0].pop("keypoints"))
    assert len(dataset(path)) == 2  # its annotations have keypoints

    def boxes_only(content):
        on("categories", "keypoints")(content)
        on_all("keypoints")(content)

    said = the_sentence(dataset, written(tmp_path, boxes_only))
    assert "neither names nor in any of its 2 annotations" in said
    assert "this may be an instances_*.json" in said
    assert "instances_*.json" in the_sentence(metric, written(tmp_path, boxes_only))


def test_images_without_annotations_are_enough_to_test_on(tmp_path):
    def images_only(content):
        del content["annotations"], content["categories"][0]["keypoints"]

    path = written(tmp_path, images_only)
    assert len(dataset(path, test_mode=True)) == 2
    prefix = tmp_path / "out"
    built = metric(path, format_only=True, outfile_prefix=str(prefix))
    first = small()["annotations"][0]
    results = [detection(1, [30, 30, 70, 80], first["keypoints"])]
    assert built.compute_metrics(results) == {}
    (written_there,) = json.loads((tmp_path / "out.bbox.json").read_text())
    assert written_there["bbox"] == first["bbox"]


def test_a_filter_that_leaves_nothing_is_told(tmp_path):
    path = written(tmp_path, lambda content: None)
    with pytest.raises(ValueError, match="'min_keypoints': 9} leaves none of its 2"):
        dataset(path, filter_cfg=dict(min_keypoints=9))


def test_text_ids_stay_in_the_data_and_in_the_result_files(tmp_path):
    def named(content):
        for image, annotation in zip(*list(content.values())[:2], strict=True):
            image["id"] = annotation["image_id"] = f"frame {image['id']}"

    path = written(tmp_path, named)
    ids = [info["img_id"] for info in dataset(path).data_list]
    assert ids == ["frame 1", "frame 2"]
    built = metric(path, outfile_prefix=str(tmp_path / "out"))
    results = [
        detection(i, [0, 0, 1, 1], a["keypoints"])
        for i, a in zip(ids, small()["annotations"], strict=True)
    ]
    values = built.compute_metrics(results)
    assert values["keypoints_mAP"] == pytest.approx(1)
    assert values["bbox_mAP"] == 0
    found = json.loads((tmp_path / "out.keypoints.json").read_text())
    assert [f["image_id"] for f in found] == ids


def test_labels_are_the_config_s_classes_whatever_the_file_s_order(tmp_path):
    def two_classes(content):
        dog = dict(content["categories"][0], id=7, name="dog")
        content["categories"] = [dog, content["categories"][0]]
        content["annotations"][1]["category_id"] = 7

    path = written(tmp_path, two_classes)
    metainfo = dict(META, classes=("person", "dog"))
    infos = dataset(path, metainfo=metainfo).data_list
    assert [info["instances"][0]["bbox_label"] for info in infos] == [0, 1]


def test_other_classes_and_other_images_annotations_are_left_out(tmp_path, capsys):
    def more(content):
        other = dict(content["annotations"][0], id=3, bbox=[NAN] * 4)
        content["annotations"] += [
            dict(other, image_id=77),
            dict(other, id=4, category_id=2),
            dict(other, id=5, category_id=3),
        ]
        content["categories"].append(dict(id=3, name="car"))

    infos = dataset(written(tmp_path, more)).data_list
    assert [len(info["instances"]) for info in infos] == [1, 1]


def test_masks_are_required_only_where_they_are_loaded(tmp_path):
    steps = [dict(type="nlse_mm.LoadKeypoints", with_bbox=True, with_mask=True)]
    path = written(tmp_path, lambda content: None)
    assert len(dataset(path)) == 2
    with pytest.raises(ValueError, match=r"annotations\[1\] \(id 2\) has no segment"):
        dataset(path, pipeline=steps)
    broken = written(tmp_path, on("annotations", "segmentation", [["a", "b"]]))
    assert len(dataset(broken)) == 2
    with pytest.raises(ValueError, match=r"segmentation=.* is neither polygons nor"):
        dataset(broken, pipeline=steps)


def test_the_extent_of_masks_is_pycocotools_or_worked_out(tmp_path):
    content = small()
    mask = with_rle(content)
    compressed = content["annotations"][0]["segmentation"]
    expected = float(mask.sum()), [30.0, 30.0, 40.0, 50.0]
    assert mask_extent(compressed, (120, 90)) == expected
    flat = np.flatnonzero(np.diff(np.pad(mask.ravel("F"), 1).astype(int)))
    runs = np.diff([0, *flat.tolist(), mask.size]).tolist()
    assert mask_extent(dict(size=[90, 120], counts=runs), (120, 90)) == expected
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = np.asfortranarray(rng.random((90, 120)) < rng.random(), np.uint8)
        rle = rle_tools.encode(noise)
        got = mask_extent(dict(rle, counts=rle["counts"].decode()), (120, 90))
        assert got == (float(noise.sum()), rle_tools.toBbox(rle).tolist())
    # Half of 40 x 50, and a triangle of 10 x 10 / 2.
    two = [[0, 0, 40, 0, 0, 50], [60, 60, 70, 60, 60, 70]]
    assert mask_extent(two, None) == (1050.0, [0.0, 0.0, 70.0, 70.0])


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        {},
        "x",
        [[1, 2, 3]],
        [[1, 2, 3, 4]],
        [1, 2, 3, 4, 5, 6],
        [["1", "2", "3", "4", "5", "6"]],
        [[0, 0, 1, 1, 2, NAN]],
        [[0, 0, 1, 1, 2, 2]],
        [[1e300, 0, 1, 1e300, 2, 0]],
        [[10**400, 0, 1, 1, 2, 0]],
        dict(size=[90, 120]),
        dict(size=[9, 12], counts=[0, 108]),
        dict(size=[90, 120], counts=[0, 10**12]),
        dict(size=[90, 120], counts=[10801, -1]),
        dict(size=[90, 120], counts="1"),
        dict(size=[90, 120], counts="ooooooooooooooooo"),
        dict(size=[90, 120], counts="\n"),
        dict(size=[90, 120], counts=[10800]),
    ],
    ids=lambda s: str(s)[:30],
)
def test_what_is_no_mask_has_no_extent(segmentation):
    assert mask_extent(segmentation, (120, 90)) is None


@pytest.mark.real_data
def test_coco_s_own_file_is_read_as_it_is():
    if not REAL.is_file():
        pytest.skip(f"{REAL} is not there")
    content = json.loads(REAL.read_text())
    found = read_keypoints(str(REAL), ["person"], NAMES)
    assert len(found["annotations"]) == len(content["annotations"])
    for got, raw in zip(found["annotations"], content["annotations"], strict=True):
        assert got == dict(raw, ignore=0)
        assert list(map(type, got["bbox"])) == list(map(type, raw["bbox"]))
    assert found["images"] == content["images"]
    assert found["categories"] == content["categories"]


@pytest.mark.real_data
def test_coco_s_areas_and_boxes_are_those_of_its_masks():
    if not REAL.is_file():
        pytest.skip(f"{REAL} is not there")
    content = json.loads(REAL.read_text())
    sizes = {i["id"]: (i["width"], i["height"]) for i in content["images"]}
    for raw in content["annotations"]:
        area, box = mask_extent(raw["segmentation"], sizes[raw["image_id"]])
        if not raw["iscrowd"]:
            assert area == pytest.approx(raw["area"], rel=1e-9)
            assert box == pytest.approx(raw["bbox"])


def test_a_large_file_is_checked_without_being_parsed(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text(TEXT)
    monkeypatch.setattr("nlse_mm.validation.coco_json.read_coco", pytest.fail)
    check_large(str(path))
    monkeypatch.undo()
    for content, words in (
        (TEXT[:700], "is cut short"),
        (TEXT[: TEXT.index("}") + 1], "is cut short"),
        ("[" + TEXT + "]", "holds a list"),
        ('{"images": [{}], "categories": []}', "has no annotations"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=words):
            check_large(str(path))
    path.write_text(TEXT.replace("1.png", "1}}].png"))
    check_large(str(path))
