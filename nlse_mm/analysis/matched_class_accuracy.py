"""Are the boxes that were found given the right class?"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.evaluator import BaseMetric

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import METRICS


@METRICS.register_module()
@checked
class MatchedClassAccuracy(BaseMetric):
    """Of the objects that were found, the share whose class is right; how many were.

    An object is found where a detection of any class overlaps it with an IoU of at
    least ``iou``. Its class is the one of the detection with the highest score among
    these. AP mixes finding and naming; these two numbers don't.

    Ground truth comes from the samples (``LoadAnnotations`` after any ``Resize`` in the
    pipeline, so that boxes are in pixels of the original image); ignored objects
    don't count. ``class_accuracy`` is 0 where nothing was found.

    Args:
        iou: Least intersection over union, above 0, at most 1.
        collect_device: As BaseMetric's.
        prefix: First part of the results' names.

    Raises:
        ConfigError: If ``iou`` isn't a share, or the samples have no ground truth.
    """

    default_prefix = "matched"

    def __init__(
        self,
        iou: float = 0.5,
        collect_device: Literal["cpu", "gpu"] = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 < iou <= 1:
            raise ConfigError(f"iou={iou} is not above 0 and at most 1")
        self.iou = iou

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Note, for each image, how many objects there are, found and named rightly."""
        for sample in data_samples:
            truth, predicted = sample.get("gt_instances"), sample["pred_instances"]
            if truth is None or "bboxes" not in truth:
                raise ConfigError(
                    "MatchedClassAccuracy needs the objects' boxes: put "
                    "dict(type='LoadAnnotations', with_bbox=True) into the pipeline"
                )
            self.results.append(match(truth, predicted, self.iou))

    def compute_metrics(self, results: list[tuple[int, int, int]]) -> dict[str, float]:
        """Both shares over all objects of all images."""
        objects, found, right = (sum(column) for column in zip(*results, strict=True))
        return dict(class_accuracy=right / max(found, 1), found=found / max(objects, 1))


def match(truth: dict, predicted: dict, iou: float) -> tuple[int, int, int]:
    """Objects of one image; those found; those of them with the right class.

    Args:
        truth: ``bboxes (T, 4)``, corners in pixels, and ``labels (T,)``.
        predicted: ``bboxes (D, 4)``, ``scores (D,)``, ``labels (D,)``.
        iou: Least intersection over union.
    """
    boxes = torch.as_tensor(predicted["bboxes"]).cpu().float()
    scores = torch.as_tensor(predicted["scores"]).cpu()
    objects = torch.as_tensor(getattr(truth["bboxes"], "tensor", truth["bboxes"]))
    overlap = box_iou(objects.cpu().float(), boxes)  # (T, D)
    near = overlap >= iou
    if not near.numel():
        return len(objects), 0, 0
    best = scores.expand_as(near).masked_fill(~near, -1).argmax(1)  # (T,)
    found = near.any(1)
    labels = torch.as_tensor(predicted["labels"]).cpu()
    right = found & (labels[best] == torch.as_tensor(truth["labels"]).cpu())
    return len(objects), int(found.sum()), int(right.sum())


def box_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes (A, 4) and (B, 4), corners in pixels: (A, B)."""
    low = torch.maximum(a[:, None, :2], b[:, :2])
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(2)  # (A, B)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(1) for x in (a, b))
    return both / (area_a[:, None] + area_b - both)
