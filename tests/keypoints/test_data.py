"""From the file to the packed sample."""

import json

import numpy as np
import pytest
from mmengine.registry import DATASETS, TRANSFORMS

from nlse_mm.keypoints.metainfo import COCO_PERSON, flip_indices

pytestmark = pytest.mark.usefixtures("in_mmdet")

LOAD = [
    dict(type="LoadImageFromFile"),
    dict(type="nlse_mm.LoadKeypoints", with_bbox=True),
]


def dataset(root, *steps, file="people.json", **kwargs):
    config = dict(
        type="nlse_mm.CocoKeypointDataset",
        data_root=str(root),
        ann_file=file,
        data_prefix=dict(img=""),
        pipeline=[*LOAD, *steps],
    )
    return DATASETS.build(config | kwargs)


def test_keypoints_are_the_files_plus_half_a_pixel(people):
    root, content = people
    found = dataset(root)[1]
    for got, annotation in zip(
        found["gt_keypoints"], content["annotations"][2:4], strict=True
    ):
        expected = np.array(annotation["keypoints"]).reshape(17, 3)
        labelled = expected[:, 2] > 0
        assert np.array_equal(got[labelled, :2], expected[labelled, :2] + 0.5)
        assert np.array_equal(got[:, 2], expected[:, 2])
        assert (got[~labelled] == 0).all()


def test_a_box_without_keypoints_stays(people):
    found = dataset(people[0])[0]
    assert len(found["gt_keypoints"]) == len(found["gt_bboxes"]) == 2
    assert (found["gt_keypoints"][0] == 0).all()


def test_images_with_too_few_keypoints_are_left_out(people):
    root, content = people
    labelled = dict.fromkeys(range(1, 5), 0)
    for annotation in content["annotations"]:
        labelled[annotation["image_id"]] += annotation["num_keypoints"]
    fewest = max(labelled.values())
    found = dataset(root, filter_cfg=dict(min_keypoints=fewest))
    assert len(found) == sum(n >= fewest for n in labelled.values()) < 4


def test_a_flip_swaps_left_and_right_and_two_are_the_identity(people):
    flip = dict(type="nlse_mm.FlipKeypoints", prob=1.0)
    plain, once, twice = (dataset(people[0], *n * [flip])[2] for n in range(3))
    names = COCO_PERSON["keypoints"]
    for k, name in enumerate(names):
        other = name.replace("left", "R").replace("right", "left").replace("R", "right")
        before = plain["gt_keypoints"][:, names.index(other)]
        after = once["gt_keypoints"]
        labelled = before[:, 2] > 0
        assert np.array_equal(after[labelled, k, 0], 120 - before[labelled, 0])
        assert np.array_equal(after[:, k, 1:], before[:, 1:])
    assert np.array_equal(twice["gt_keypoints"], plain["gt_keypoints"])
    assert np.array_equal(once["img"], plain["img"][:, ::-1])


@pytest.mark.parametrize("direction", ["vertical", "diagonal"])
def test_other_flips_are_their_own_inverse_and_stay_with_the_image(people, direction):
    flip = dict(type="nlse_mm.FlipKeypoints", prob=1.0, direction=direction)
    plain, once, twice = (dataset(people[0], *n * [flip])[2] for n in range(3))
    assert np.array_equal(twice["gt_keypoints"], plain["gt_keypoints"])
    keypoints = once["gt_keypoints"]
    if direction == "vertical":  # a mirror, too
        keypoints = keypoints[:, flip_indices(COCO_PERSON)]
    labelled = plain["gt_keypoints"][..., 2] > 0
    expected = 90 - plain["gt_keypoints"][..., 1]
    assert np.array_equal(keypoints[labelled][:, 1], expected[labelled])


def test_resizing_scales_keypoints_as_boxes(people):
    step = dict(type="nlse_mm.ResizeKeypoints", scale=(240, 45), keep_ratio=False)
    plain, resized = dataset(people[0])[3], dataset(people[0], step)[3]
    expected = plain["gt_keypoints"] * np.array([2, 0.5, 1], np.float32)
    np.testing.assert_allclose(resized["gt_keypoints"], expected, rtol=1e-6)


def test_a_crop_moves_the_keypoints_and_unlabels_those_outside(people):
    step = dict(type="nlse_mm.CropKeypoints", crop_size=(70, 60), allow_negative_crop=1)
    for i in range(4):
        plain, crop = dataset(people[0])[i], dataset(people[0], step)[i]
        dx, dy = crop["homography_matrix"][:2, 2]
        assert len(crop["gt_keypoints"]) == len(crop["gt_bboxes"])
        moved = plain["gt_keypoints"] + np.array([dx, dy, 0], np.float32)
        inside = (moved[..., :2] >= 0) & (moved[..., :2] <= (70, 60))
        labelled = inside.all(-1) & (moved[..., 2] > 0)
        moved[~labelled] = 0
        boxes = [b.tensor.numpy() for b in (plain["gt_bboxes"], crop["gt_bboxes"])]
        clipped = (boxes[0] + [dx, dy, dx, dy]).clip(0, [70, 60, 70, 60])
        for box, keypoints in zip(boxes[1], crop["gt_keypoints"], strict=True):
            owner = np.abs(clipped - box).sum(1).argmin()
            assert np.array_equal(keypoints, moved[owner])


def test_packing_keeps_crowds_apart(people):
    root, content = people
    content["annotations"][-1]["iscrowd"] = 1
    (root / "people.json").write_text(json.dumps(content))
    plain = dataset(root)[3]["gt_keypoints"]
    sample = dataset(root, dict(type="nlse_mm.PackKeypoints", meta_keys=()))[3]
    sample = sample["data_samples"]
    assert np.array_equal(sample.gt_instances.keypoints, plain[:2, :, :2])
    assert np.array_equal(sample.gt_instances.keypoints_visible, plain[:2, :, 2])
    assert np.array_equal(sample.ignored_instances.keypoints, plain[2:, :, :2])


def two_keypoints(root, content, **metainfo):
    content["categories"][0]["keypoints"] = ["left_end", "right_end"]
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][3:9]
    (root / "people.json").write_text(json.dumps(content))
    return (
        dict(
            keypoints=("left_end", "right_end"),
            flip_pairs=(("left_end", "right_end"),),
            skeleton=(),
            sigmas=(0.05, 0.05),
        )
        | metainfo
    )


def test_another_number_of_keypoints_works(people):
    metainfo = two_keypoints(*people)
    found = dataset(people[0], metainfo=metainfo)[1]
    assert found["gt_keypoints"].shape == (2, 2, 3)


def test_keypoints_that_are_not_the_files_are_refused(people):
    root, content = people
    original = json.dumps(content)
    metainfo = two_keypoints(root, content)
    with pytest.raises(ValueError, match="has 2 keypoints"):
        dataset(root)
    (root / "people.json").write_text(original)
    with pytest.raises(ValueError, match="has 17 keypoints"):
        dataset(root, metainfo=metainfo)


def test_an_image_of_another_size_than_the_file_says_is_named(people):
    root, content = people
    steps = [dict(type="nlse_mm.ResizeKeypoints", scale=(60, 45), keep_ratio=True)]
    pipeline = [LOAD[0], *steps, LOAD[1]]  # as in a test
    assert dataset(root, pipeline=pipeline)[1]["img_shape"] == (45, 60)
    content["images"][1].update(height=120, width=90)
    (root / "people.json").write_text(json.dumps(content))
    sentence = r"2\.png is 90 x 120 \(H x W\), but its .* says 120 x 90; an EXIF"
    for steps in (pipeline, LOAD):
        with pytest.raises(ValueError, match=sentence):
            dataset(root, pipeline=steps)[1]
    assert dataset(root)[0]["gt_keypoints"].shape[1] == 17


def test_each_wrong_key_is_named(people):
    root, content = people
    for wrong, words in (
        (dict(sigmas=(0.05,)), "sigmas"),
        (dict(sigmas=(0.05, float("nan"))), "sigmas"),
        (dict(sigmas=(0.05, "wide")), "sigmas"),
        (dict(sigmas=0.05), "sigmas=0.05 is not 2 numbers"),
        (dict(flip_pairs=(("left_end", "tail"),)), "flip_pairs has"),
        (dict(flip_pairs=()), "flip_pairs has no pair"),
        (dict(skeleton=(("left_end", "left_end"),)), "skeleton has"),
    ):
        metainfo = two_keypoints(root, json.loads(json.dumps(content)), **wrong)
        with pytest.raises(ValueError, match=words):
            dataset(root, metainfo=metainfo)


def test_a_flip_without_known_pairs_is_refused(people):
    metainfo = two_keypoints(*people, flip_pairs=None)
    flip = dict(type="nlse_mm.FlipKeypoints", prob=1.0)
    found = dataset(people[0], metainfo=metainfo)[1]
    with pytest.raises(ValueError, match="flip_pairs is None"):
        TRANSFORMS.build(flip)(found)
