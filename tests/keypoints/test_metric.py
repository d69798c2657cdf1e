"""OKS AP against pycocotools alone, and what a forgotten swap would give."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import METRICS
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nlse_mm.keypoints.metainfo import COCO_PERSON, flip_indices

pytestmark = pytest.mark.usefixtures("in_mmdet")
REAL = Path("data/coco/annotations/person_keypoints_val2017.json")
META = dict(classes=("person",), **COCO_PERSON)


def files(request, people):
    if request.param == "real":
        if not REAL.is_file():
            pytest.skip(f"{REAL} is not there")
        return REAL
    return people[0] / "people.json"


@pytest.fixture(params=["made", pytest.param("real", marks=pytest.mark.real_data)])
def ann_file(request, people):
    return files(request, people)


def samples(path, change=lambda joints, width: joints):
    """Predictions made of the ground truth: boxes and joints of each person."""
    coco = COCO(str(path))
    for i in coco.getImgIds():
        found = [a for a in coco.loadAnns(coco.getAnnIds(i)) if not a["iscrowd"]]
        boxes = np.array([a["bbox"] for a in found], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        joints = np.array([a["keypoints"] for a in found], float).reshape(-1, 17, 3)
        joints[..., :2] += 0.5
        joints = change(joints.copy(), coco.imgs[i]["width"])
        instances = dict(
            bboxes=torch.tensor(boxes),
            labels=torch.zeros(len(found), dtype=torch.long),
            # Of people without joints no one knows where theirs are: come last.
            scores=torch.rand(len(found)).double() / 2
            + torch.tensor([a["num_keypoints"] > 0 for a in found]).double(),
            keypoints=torch.tensor(joints[..., :2]),
            keypoint_scores=torch.ones(len(found), 17),
        )
        yield dict(img_id=i, pred_instances=instances)


def evaluate(path, predictions, **kwargs):
    config = dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path))
    metric = METRICS.build(dict(config, metric=["bbox", "keypoints"], **kwargs))
    metric.dataset_meta = META
    metric.process(None, predictions)
    return metric.evaluate(len(predictions))


def test_ground_truth_is_perfect(ann_file):
    found = evaluate(ann_file, list(samples(ann_file)))
    assert found["coco/keypoints_mAP"] == pytest.approx(1)
    assert found["coco/bbox_mAP"] == pytest.approx(1)


def test_swapped_sides_give_a_low_number(ann_file):
    swap = flip_indices(META)
    swapped = samples(ann_file, lambda joints, width: joints[:, swap])
    assert evaluate(ann_file, list(swapped))["coco/keypoints_mAP"] < 0.6


def noise(joints, width):
    rng = np.random.default_rng(joints.shape[0])
    return joints + rng.normal(0, 2, joints.shape)


def test_it_equals_pycocotools_alone(ann_file, tmp_path):
    found = evaluate(
        ann_file, list(samples(ann_file, noise)), outfile_prefix=str(tmp_path / "out")
    )
    truth = COCO(str(ann_file))
    for kind, names in (
        ("bbox", ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")),
        ("keypoints", ("mAP", "mAP_50", "mAP_75", "mAP_m", "mAP_l", "AR")),
    ):
        alone = COCOeval(truth, truth.loadRes(f"{tmp_path}/out.{kind}.json"), kind)
        alone.evaluate()
        alone.accumulate()
        alone.summarize()
        expected = {f"coco/{kind}_{n}": alone.stats[i] for i, n in enumerate(names)}
        assert expected == {name: found[name] for name in expected}
    assert 0.1 < found["coco/keypoints_mAP"] < 0.999


def test_the_sigmas_are_the_data_sets(people):
    path = people[0] / "people.json"
    predictions = list(samples(path, noise))
    config = dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path))
    values = []
    for factor in (0.5, 1, 2):
        metric = METRICS.build(config)
        sigmas = [factor * s for s in COCO_PERSON["sigmas"]]
        metric.dataset_meta = dict(META, sigmas=sigmas)
        metric.process(None, predictions)
        values.append(metric.evaluate(len(predictions))["coco/keypoints_mAP"])
    assert values[0] < values[1] < values[2]


def test_a_model_without_keypoints_is_refused(people):
    path = people[0] / "people.json"
    predictions = list(samples(path))
    for sample in predictions:
        del sample["pred_instances"]["keypoints"]
    with pytest.raises(ValueError, match="keypoint head"):
        evaluate(path, predictions)


def test_no_detection_is_zero_and_an_unknown_metric_is_refused(people):
    path = people[0] / "people.json"
    empty = [
        dict(s, pred_instances={k: v[:0] for k, v in s["pred_instances"].items()})
        for s in samples(path)
    ]
    assert evaluate(path, empty)["coco/keypoints_mAP"] == 0
    with pytest.raises(ValueError, match="metric='segm'"):
        METRICS.build(
            dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path), metric="segm")
        )


def test_result_files_hold_joints_at_pixel_indices(people, tmp_path):
    path = people[0] / "people.json"
    evaluate(path, list(samples(path)), outfile_prefix=str(tmp_path / "out"))
    first = json.loads((tmp_path / "out.keypoints.json").read_text())[1]
    truth = people[1]["annotations"][1]["keypoints"]
    assert first["keypoints"][0::3] == truth[0::3]
    assert "bbox" not in first
