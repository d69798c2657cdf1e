"""COCO's average precision of joints (OKS) and of boxes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nlse_mm.arguments import checked
from nlse_mm.registry import METRICS

from .dataset import check_categories
from .metainfo import check_metainfo

KINDS = ("bbox", "keypoints")
# Places in COCOeval.stats. Joints have no size "small", and AR in place 5.
_STATS = dict(
    bbox=dict(mAP=0, mAP_50=1, mAP_75=2, mAP_s=3, mAP_m=4, mAP_l=5),
    keypoints=dict(mAP=0, mAP_50=1, mAP_75=2, mAP_m=3, mAP_l=4, AR=5),
)


@METRICS.register_module()
@checked
class CocoKeypointMetric(BaseMetric):
    """AP over OKS thresholds 0.50 to 0.95, and box AP beside it, with pycocotools.

    Object keypoint similarity takes the data set's sigmas; 20 detections an image count
    for joints, 100 for boxes. A detection's score is its box's.

    Args:
        ann_file: The ``person_keypoints_*.json`` of the images.
        metric: ``'keypoints'``, ``'bbox'`` or both.
        outfile_prefix: Where to write COCO result files, ``{prefix}.keypoints.json``
            and ``{prefix}.bbox.json``; None: nowhere.
        format_only: Only write them (a test set without ground truth).
        collect_device: As BaseMetric's.
        prefix: First part of the results' names.

    Raises:
        ValueError: For another ``metric``, or joints that don't fit the file.
    """

    default_prefix = "coco"

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = "keypoints",
        outfile_prefix: str | None = None,
        format_only: bool = False,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.metrics = [metric] if isinstance(metric, str) else list(metric)
        unknown = [m for m in self.metrics if m not in KINDS]
        if unknown or not self.metrics:
            raise ValueError(f"metric={metric!r} is not one or more of {KINDS}")
        if format_only and outfile_prefix is None:
            raise ValueError("format_only=True needs outfile_prefix, and it is None")
        self.ann_file = ann_file
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep each image's boxes (x1, y1, x2, y2), scores, labels and joints."""
        for sample in data_samples:
            found = sample["pred_instances"]
            if "keypoints" in self.metrics and "keypoints" not in found:
                raise ValueError(
                    "the predictions have no keypoints: metric='keypoints' needs a "
                    "model with a keypoint head (roi_head.type="
                    "'nlse_mm.KeypointRoIHead')"
                )
            kept = dict(img_id=sample["img_id"])
            for key in ("bboxes", "scores", "labels", "keypoints", "keypoint_scores"):
                if key in found:
                    kept[key] = found[key].detach().cpu().numpy()
            self.results.append(kept)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``bbox_*`` and ``keypoints_*`` of all images."""
        check_metainfo(self.dataset_meta)
        truth = COCO(self.ann_file)
        check_categories(truth, self.dataset_meta, self.ann_file)
        ids = {c["name"]: c["id"] for c in truth.dataset["categories"]}
        categories = [ids[name] for name in self.dataset_meta["classes"]]
        for annotation in truth.dataset["annotations"]:
            visible = annotation.get("keypoints", [])[2::3]
            annotation.setdefault("num_keypoints", sum(v > 0 for v in visible))
        values = {}
        for kind in self.metrics:
            found = coco_results(results, categories, kind)
            if self.outfile_prefix is not None:
                path = Path(f"{self.outfile_prefix}.{kind}.json")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(found))
            if not self.format_only:
                images = [r["img_id"] for r in results]
                values |= self._evaluate(truth, found, kind, categories, images)
        return values

    def _evaluate(
        self, truth: COCO, found: list, kind: str, categories: list, images: list
    ) -> dict[str, float]:
        names = {f"{kind}_{name}": place for name, place in _STATS[kind].items()}
        if not found:
            MMLogger.get_current_instance().warning(f"no detection at all: {kind} 0")
            return dict.fromkeys(names, 0.0)
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.params.imgIds = images
        evaluation.params.catIds = categories
        if kind == "keypoints":
            evaluation.params.kpt_oks_sigmas = np.array(self.dataset_meta["sigmas"])
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return {n: float(evaluation.stats[place]) for n, place in names.items()}


def coco_results(results: list[dict], categories: list[int], kind: str) -> list[dict]:
    """COCO's list of detections: x, y, w, h boxes, or joints at pixel indices.

    Not both in one list: with boxes, pycocotools would take a pose's size from them.
    """
    found = []
    for image in results:
        boxes = image["bboxes"].copy()
        boxes[:, 2:] -= boxes[:, :2]
        for i, label in enumerate(image["labels"]):
            detection = dict(
                image_id=int(image["img_id"]),
                category_id=categories[int(label)],
                score=float(image["scores"][i]),
            )
            if kind == "bbox":
                detection["bbox"] = boxes[i].tolist()
            else:
                xy = image["keypoints"][i] - 0.5  # the dataset added it
                scores = image["keypoint_scores"][i][:, None]
                detection["keypoints"] = np.hstack((xy, scores)).ravel().tolist()
            found.append(detection)
    return found
