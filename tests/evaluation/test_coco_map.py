"""The mAP that users read is pycocotools' own."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

pytest.importorskip("mmdet")

SIZE = (120, 160)
CLASSES = ("square", "disc")
STATS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


def box_mask(x, y, w, h):
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def ground_truth():
    """Two images: overlapping boxes of three sizes, and a crowd of small ones."""
    objects = [
        (1, 1, (10, 10, 100, 100), 0),
        (1, 2, (60, 40, 50, 40), 0),
        (1, 1, (140, 100, 12, 9), 0),
        (2, 2, (5, 5, 40, 60), 0),
        (2, 2, (80, 20, 70, 90), 1),
    ]
    annotations = []
    for number, (image, category, box, crowd) in enumerate(objects, start=1):
        encoded = rle.encode(np.asfortranarray(box_mask(*box)))
        encoded["counts"] = encoded["counts"].decode()
        annotations.append(
            dict(
                id=number,
                image_id=image,
                category_id=category,
                bbox=list(box),
                area=box[2] * box[3],
                iscrowd=crowd,
                segmentation=encoded,
            )
        )
    return dict(
        info={},
        images=[
            dict(id=i, file_name=f"{i}.jpg", height=SIZE[0], width=SIZE[1])
            for i in (1, 2)
        ],
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
        annotations=annotations,
    )


def perfect():
    return [
        (a["image_id"], a["category_id"], a["bbox"], 0.9)
        for a in ground_truth()["annotations"]
        if not a["iscrowd"]
    ]


CASES = {
    "perfect": perfect(),
    "nothing": [],
    "shifted": [(1, 1, (20, 14, 100, 100), 0.8), (2, 2, (5, 8, 40, 60), 0.7)],
    "duplicates": [*perfect(), (1, 1, (11, 10, 100, 100), 0.95)],
    "wrong class": [(i, 3 - c, b, s) for i, c, b, s in perfect()],
    "in the crowd": [*perfect(), (2, 2, (90, 30, 20, 20), 0.99)],
    "false alarm first": [(1, 2, (0, 90, 20, 20), 0.99), *perfect()],
}


def ours(path, detections, metric):
    from mmdet.evaluation import CocoMetric

    coco = CocoMetric(ann_file=str(path), metric=[metric])
    coco.dataset_meta = dict(classes=CLASSES)
    samples = []
    for image in (1, 2):
        mine = [d for d in detections if d[0] == image]
        boxes = torch.tensor([d[2] for d in mine]).reshape(-1, 4).float()
        boxes[:, 2:] += boxes[:, :2]
        masks = np.array([box_mask(*d[2]) for d in mine], dtype=bool)
        samples.append(
            dict(
                img_id=image,
                ori_shape=SIZE,
                pred_instances=dict(
                    bboxes=boxes,
                    scores=torch.tensor([d[3] for d in mine]),
                    labels=torch.tensor([d[1] - 1 for d in mine]).long(),
                    masks=torch.from_numpy(masks.reshape(-1, *SIZE)),
                ),
            )
        )
    coco.process({}, samples)
    return coco.evaluate(size=2)


def pycocotools_alone(path, detections, metric):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        results = [
            dict(
                image_id=image,
                category_id=category,
                score=float(np.float32(score)),
                **(
                    dict(bbox=list(map(float, box)))
                    if metric == "bbox"
                    else dict(
                        segmentation=rle.encode(np.asfortranarray(box_mask(*box)))
                    )
                ),
            )
            for image, category, box, score in detections
        ]
        evaluation = COCOeval(truth, truth.loadRes(results), metric)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6]


@pytest.fixture
def annotations(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(ground_truth()))
    return path


@pytest.mark.parametrize("metric", ["bbox", "segm"])
@pytest.mark.parametrize("case", [c for c in CASES if c != "nothing"])
def test_it_equals_pycocotools_digit_for_digit(annotations, case, metric):
    printed = ours(annotations, CASES[case], metric)
    expected = pycocotools_alone(annotations, CASES[case], metric)
    # MMDetection prints three digits.
    for name, value in zip(STATS, expected, strict=True):
        assert printed[f"coco/{metric}_{name}"] == round(float(value), 3), name


@pytest.mark.parametrize("metric", ["bbox", "segm"])
def test_the_ground_truth_as_predictions_gives_one(annotations, metric):
    assert ours(annotations, CASES["perfect"], metric)[f"coco/{metric}_mAP"] == 1.0


def test_cases_differ(annotations):
    values = {
        ours(annotations, CASES[c], "bbox")["coco/bbox_mAP"]
        for c in ("perfect", "shifted", "wrong class", "false alarm first")
    }
    assert len(values) == 4


def test_no_detection_at_all_is_no_crash(annotations):
    assert ours(annotations, CASES["nothing"], "bbox").get("coco/bbox_mAP", 0) == 0
