"""OKS AP against pycocotools alone, and what a forgotten swap would give."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import DATASETS, METRICS, TRANSFORMS
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
    random = torch.Generator().manual_seed(0)
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
            scores=torch.rand(len(found), generator=random).double() / 2
            + torch.tensor([a["num_keypoints"] > 0 for a in found]).double(),
            keypoints=torch.tensor(joints[..., :2]),
            keypoint_scores=torch.ones(len(found), 17),
        )
        yield dict(img_id=i, pred_instances=instances)


def evaluate(path, predictions, size=None, **kwargs):
    config = dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path))
    metric = METRICS.build(dict(config, metric=["bbox", "keypoints"], **kwargs))
    metric.dataset_meta = META
    metric.process(None, predictions)
    return metric.evaluate(size or len(predictions))


def test_ground_truth_is_perfect(ann_file):
    found = evaluate(ann_file, list(samples(ann_file)))
    assert found["coco/keypoints_mAP"] == pytest.approx(1)
    assert found["coco/bbox_mAP"] == pytest.approx(1)


def noise(joints, width):
    rng = np.random.default_rng(joints.shape[0])
    return joints + rng.normal(0, 2, joints.shape)


def alone(path, predictions, kind):
    """pycocotools' numbers, without anything of ours."""
    detections = []
    for sample in predictions:
        found = sample["pred_instances"]
        for i, score in enumerate(found["scores"].tolist()):
            one = dict(image_id=sample["img_id"], category_id=1, score=score)
            if kind == "bbox":
                x1, y1, x2, y2 = found["bboxes"][i].tolist()
                one["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            else:
                joints = found["keypoints"][i].tolist()
                one["keypoints"] = [v for x, y in joints for v in (x - 0.5, y - 0.5, 1)]
            detections.append(one)
    truth = COCO(str(path))
    evaluation = COCOeval(truth, truth.loadRes(detections), kind)
    evaluation.params.imgIds = [sample["img_id"] for sample in predictions]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_it_equals_pycocotools_alone(ann_file):
    predictions = list(samples(ann_file, noise))
    found = evaluate(ann_file, predictions)
    for kind, names in (
        ("bbox", ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")),
        ("keypoints", ("mAP", "mAP_50", "mAP_75", "mAP_m", "mAP_l", "AR")),
    ):
        expected = alone(ann_file, predictions, kind)[: len(names)]
        assert [found[f"coco/{kind}_{name}"] for name in names] == list(expected)
    assert 0.1 < found["coco/keypoints_mAP"] < 0.999


def share_of(rank, meeting, path, predictions, answers):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    # An odd number: the last process gets the first image again, as from the sampler.
    own = (predictions + predictions[:1])[rank::2]
    answers.put(evaluate(path, own, size=len(predictions)))


def test_two_processes_give_the_same_as_one(ann_file, tmp_path, monkeypatch):
    path = ann_file.resolve()
    monkeypatch.chdir(tmp_path)  # where MMEngine puts what processes exchange
    predictions = list(samples(path, noise))
    predictions = predictions[: len(predictions) - 1 + len(predictions) % 2]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    processes = [
        context.Process(
            target=share_of,
            args=(rank, tmp_path / "meeting", path, predictions, answers),
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    expected = evaluate(path, predictions)
    assert [answers.get(), answers.get()] == [expected, expected]


def flipped_samples(path, swap):
    """Ground truth that went through ``FlipKeypoints``, with its swap or without."""
    data = DATASETS.build(
        dict(
            type="nlse_mm.CocoKeypointDataset",
            ann_file=str(path),
            data_prefix=dict(img=""),
            pipeline=[],
            test_mode=True,
        )
    )
    load = TRANSFORMS.build(
        dict(type="nlse_mm.LoadKeypoints", with_bbox=True, box_type=None)
    )
    flip = TRANSFORMS.build(dict(type="nlse_mm.FlipKeypoints", prob=1.0))
    truth = list(samples(path))
    for i, sample in enumerate(truth):
        info = data.get_data_info(i)
        assert info["img_id"] == sample["img_id"]
        info["instances"] = [a for a in info["instances"] if not a["ignore_flag"]]
        shape = info["height"], info["width"]
        info.update(img=np.zeros(shape, np.uint8), img_shape=shape)
        if not swap:
            info["flip_indices"] = np.arange(17)
        info = load(info)
        info["gt_bboxes"] = HorizontalBoxes(info["gt_bboxes"])
        info = flip(info)
        sample["pred_instances"].update(
            bboxes=info["gt_bboxes"].tensor,
            keypoints=torch.tensor(info["gt_keypoints"][..., :2]),
        )
    return truth


def mirrored_file(path, target):
    """The annotation file of the mirrored pictures, written by hand."""
    content = json.loads(path.read_text())
    widths = {image["id"]: image["width"] for image in content["images"]}
    names = COCO_PERSON["keypoints"]
    for annotation in content["annotations"]:
        width = widths[annotation["image_id"]]
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [width - x - w, y, w, h]
        joints = dict(
            zip(names, np.reshape(annotation["keypoints"], (17, 3)), strict=True)
        )
        flat = []
        for name in names:
            sides = ("left", "right") if "left" in name else ("right", "left")
            x, y, v = joints[name.replace(*sides)].tolist()
            flat += [width - 1 - x, y, v] if v else [0, 0, 0]
        annotation["keypoints"] = flat
    target.write_text(json.dumps(content))
    return target


def test_a_flip_is_perfect_on_mirrored_truth_and_without_the_swap_low(
    ann_file, tmp_path
):
    mirrored = mirrored_file(ann_file, tmp_path / "mirrored.json")
    found = evaluate(mirrored, flipped_samples(ann_file, swap=True))
    assert found["coco/keypoints_mAP"] == pytest.approx(1)
    assert found["coco/bbox_mAP"] == pytest.approx(1)
    forgotten = evaluate(mirrored, flipped_samples(ann_file, swap=False))
    swap = flip_indices(META)
    in_place = list(samples(ann_file, lambda joints, width: joints[:, swap]))
    low = evaluate(ann_file, in_place)["coco/keypoints_mAP"]
    assert forgotten["coco/keypoints_mAP"] == pytest.approx(low, abs=1e-3)
    assert low < 0.6


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
