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
NAN = float("nan")
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


def samples(path, change=lambda keypoints, width: keypoints):
    """Predictions made of the ground truth: boxes and keypoints of each person."""
    coco = COCO(str(path))
    random = torch.Generator().manual_seed(0)
    for i in coco.getImgIds():
        found = [a for a in coco.loadAnns(coco.getAnnIds(i)) if not a["iscrowd"]]
        boxes = np.array([a["bbox"] for a in found], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        keypoints = np.array([a["keypoints"] for a in found], float).reshape(-1, 17, 3)
        keypoints[..., :2] += 0.5
        keypoints = change(keypoints.copy(), coco.imgs[i]["width"])
        instances = dict(
            bboxes=torch.tensor(boxes),
            labels=torch.zeros(len(found), dtype=torch.long),
            # Of people without keypoints no one knows where theirs are: come last.
            scores=torch.rand(len(found), generator=random).double() / 2
            + torch.tensor([a["num_keypoints"] > 0 for a in found]).double(),
            keypoints=torch.tensor(keypoints[..., :2]),
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


def noise(keypoints, width):
    rng = np.random.default_rng(keypoints.shape[0])
    return keypoints + rng.normal(0, 2, keypoints.shape)


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
                keypoints = found["keypoints"][i].tolist()
                one["keypoints"] = [
                    v for x, y in keypoints for v in (x - 0.5, y - 0.5, 1)
                ]
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
    """The annotation file of the mirrored images, written by hand."""
    content = json.loads(path.read_text())
    widths = {image["id"]: image["width"] for image in content["images"]}
    names = COCO_PERSON["keypoints"]
    for annotation in content["annotations"]:
        width = widths[annotation["image_id"]]
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [width - x - w, y, w, h]
        keypoints = dict(
            zip(names, np.reshape(annotation["keypoints"], (17, 3)), strict=True)
        )
        flat = []
        for name in names:
            sides = ("left", "right") if "left" in name else ("right", "left")
            x, y, v = keypoints[name.replace(*sides)].tolist()
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
    in_place = list(samples(ann_file, lambda keypoints, width: keypoints[:, swap]))
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


def one_person(tmp_path):
    """A file of one person: all keypoints at (50, 50), the box 40 x 50."""
    annotation = dict(
        id=1,
        image_id=1,
        category_id=1,
        bbox=[30, 30, 40, 50],
        area=1200,
        iscrowd=0,
        keypoints=[50, 50, 2] * 17,
    )
    image = dict(id=1, file_name="1.png", width=120, height=90)
    category = dict(id=1, name="person", keypoints=COCO_PERSON["keypoints"])
    content = dict(images=[image], annotations=[annotation], categories=[category])
    (tmp_path / "one.json").write_text(json.dumps(content))
    return tmp_path / "one.json"


def detections(n, **changes):
    """``n`` perfect detections of that person, with changes to the first."""
    instances = dict(
        bboxes=torch.tensor([[30.0, 30, 70, 80]]).repeat(n, 1),
        labels=torch.zeros(n, dtype=torch.long),
        scores=torch.linspace(0.9, 0.8, n),
        keypoints=torch.full((n, 17, 2), 50.5),
        keypoint_scores=torch.ones(n, 17),
    )
    for key, value in changes.items():
        instances[key][0] = value
    return [dict(img_id=1, pred_instances=instances)]


SPOILT = [
    dict(scores=NAN),
    dict(scores=float("inf")),
    dict(bboxes=NAN, keypoints=NAN),
    dict(bboxes=torch.tensor([30, 30, 70, NAN]), keypoints=float("inf")),
    dict(bboxes=-float("inf"), keypoint_scores=NAN),  # of a heatmap of NaN
]


@pytest.mark.parametrize("spoilt", SPOILT, ids=str)
def test_nan_is_never_a_match(tmp_path, spoilt):
    path = one_person(tmp_path)
    perfect = evaluate(path, detections(1)).values()
    assert {round(value, 6) for value in perfect} == {1, -1}  # -1: no such size
    for name, value in evaluate(path, detections(1, **spoilt)).items():
        assert value in (0, -1), name
    # A false positive before the match halves the precision; NaN as a score comes last.
    values = evaluate(path, detections(2, **spoilt))
    expected = 1 if "scores" in spoilt else 0.5
    assert values["coco/keypoints_mAP"] == pytest.approx(expected)
    assert values["coco/bbox_mAP"] == pytest.approx(expected)


def test_one_nan_keypoint_spoils_the_pose_and_not_the_box(tmp_path):
    keypoints = torch.full((17, 2), 50.5)
    keypoints[3, 1] = NAN
    values = evaluate(one_person(tmp_path), detections(1, keypoints=keypoints))
    assert values["coco/keypoints_mAP"] == 0
    assert values["coco/bbox_mAP"] == pytest.approx(1)


def test_result_files_are_json_whatever_is_predicted(tmp_path):
    prefix = str(tmp_path / "out")
    spoilt = detections(1, scores=NAN, bboxes=NAN, keypoints=NAN)
    evaluate(one_person(tmp_path), spoilt, outfile_prefix=prefix)
    for kind in ("bbox", "keypoints"):
        text = Path(f"{prefix}.{kind}.json").read_text()
        (found,) = json.loads(text, parse_constant=pytest.fail)
        assert found["score"] == 0


def test_a_box_of_no_size_is_never_a_match_by_nan(tmp_path):
    path = one_person(tmp_path)
    content = json.loads(path.read_text())
    content["annotations"][0].update(bbox=[50, 50, 0, 0], area=0)
    path.write_text(json.dumps(content))
    near = detections(1, keypoints=torch.full((17, 2), 51.0))
    assert evaluate(path, near)["coco/keypoints_mAP"] == 0


def test_another_files_images_are_refused(people, tmp_path):
    predictions = detections(1)
    predictions[0]["img_id"] = 77
    with pytest.raises(ValueError, match="has no image with the id 77, which the data"):
        evaluate(one_person(tmp_path), predictions)


def test_what_the_metric_reads_is_checked_when_the_data_set_is_known(tmp_path):
    path = one_person(tmp_path)
    metric = METRICS.build(dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path)))
    path.write_text("{}")
    with pytest.raises(ValueError, match="has no images"):
        metric.dataset_meta = META


def test_result_files_hold_keypoints_at_pixel_indices(people, tmp_path):
    path = people[0] / "people.json"
    evaluate(path, list(samples(path)), outfile_prefix=str(tmp_path / "out"))
    first = json.loads((tmp_path / "out.keypoints.json").read_text())[1]
    truth = people[1]["annotations"][1]["keypoints"]
    assert first["keypoints"][0::3] == truth[0::3]
    assert "bbox" not in first
