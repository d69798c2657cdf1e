"""The class accuracy of matched boxes, on boxes worked out by hand."""

import pytest
import torch
from mmengine.registry import METRICS, DefaultScope

from nlse_mm.analysis import MatchedClassAccuracy
from nlse_mm.analysis.matched_class_accuracy import box_iou, match

SQUARE = [0.0, 0.0, 10.0, 10.0]


def truth(*boxes, labels):
    return dict(bboxes=torch.tensor(boxes), labels=torch.tensor(labels))


def found(*boxes, labels, scores):
    return dict(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.tensor(scores),
    )


def test_intersection_over_union_of_boxes_worked_out_by_hand():
    a = torch.tensor([SQUARE, [20.0, 0.0, 24.0, 5.0]])
    b = torch.tensor([SQUARE, [5.0, 0.0, 15.0, 10.0], [22.0, 4.0, 26.0, 9.0]])
    # 50 of 150; 2 x 1 of 20 + 20 - 2.
    expected = torch.tensor([[1, 1 / 3, 0], [0, 0, 2 / 38]])
    torch.testing.assert_close(box_iou(a, b), expected)


def test_of_the_boxes_that_overlap_enough_the_surest_one_gives_the_class():
    half = [0.0, 0.0, 10.0, 5.0]  # IoU of exactly 0.5
    less = [0.0, 0.0, 10.0, 4.9]
    both = found(half, SQUARE, labels=[1, 0], scores=[0.6, 0.5])
    assert match(truth(SQUARE, labels=[1]), both, 0.5) == (1, 1, 1)
    assert match(truth(SQUARE, labels=[0]), both, 0.5) == (1, 1, 0)
    assert match(truth(SQUARE, labels=[0]), both, 0.6) == (1, 1, 1)
    far = found(less, labels=[0], scores=[0.9])
    assert match(truth(SQUARE, labels=[0]), far, 0.5) == (1, 0, 0)


def test_what_was_not_found_counts_for_finding_only():
    far = [50.0, 50.0, 60.0, 60.0]
    objects = truth(SQUARE, far, labels=[0, 1])
    near = found(SQUARE, labels=[0], scores=[0.3])
    nothing = found(labels=[], scores=[])
    metric = MatchedClassAccuracy()
    samples = [
        dict(gt_instances=objects, pred_instances=near),
        dict(gt_instances=objects, pred_instances=nothing),
        dict(gt_instances=truth(SQUARE, labels=[1]), pred_instances=near),
    ]
    metric.process(None, samples)
    assert metric.evaluate(3) == {
        "matched/class_accuracy": 0.5,  # 1 of the 2 that were found
        "matched/found": 2 / 5,
    }


def test_an_image_without_objects_or_without_detections_is_none():
    none = truth(labels=[])
    none["bboxes"] = none["bboxes"].reshape(0, 4)
    some = found(SQUARE, labels=[0], scores=[0.3])
    assert match(none, some, 0.5) == (0, 0, 0)
    assert match(none, found(labels=[], scores=[]), 0.5) == (0, 0, 0)
    assert MatchedClassAccuracy().compute_metrics([(0, 0, 0)]) == dict(
        class_accuracy=0, found=0
    )


def test_it_is_found_by_its_name_and_refuses_what_is_no_share():
    with DefaultScope.overwrite_default_scope("mmengine"):
        kind = dict(type="nlse_mm.MatchedClassAccuracy", iou=0.75)
        assert METRICS.build(kind).iou == 0.75
    for iou in (0, 1.5):
        with pytest.raises(ValueError, match="is not above 0 and at most 1"):
            MatchedClassAccuracy(iou=iou)


def test_samples_without_ground_truth_are_refused_with_the_remedy():
    some = found(SQUARE, labels=[0], scores=[0.3])
    with pytest.raises(ValueError, match=r"put dict.*LoadAnnotations"):
        MatchedClassAccuracy().process(None, [dict(pred_instances=some)])
