"""Compute COCO's average precision of keypoints (OKS) and of boxes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import METRICS

from .annotation_file import index, read_keypoints
from .annotation_lists import Entry, id_text, id_value
from .metainfo import check_metainfo

KINDS = ("bbox", "keypoints")
# Places in COCOeval.stats. Keypoints have no size "small", and AR in place 5.
_STATS = dict(
    bbox=dict(mAP=0, mAP_50=1, mAP_75=2, mAP_s=3, mAP_m=4, mAP_l=5),
    keypoints=dict(mAP=0, mAP_50=1, mAP_75=2, mAP_m=3, mAP_l=4, AR=5),
)
# Pixels left of and above every image: what lies here matches nothing.
_NOWHERE = -1e6


@METRICS.register_module()
@checked
class CocoKeypointMetric(BaseMetric):
    """Compute AP over OKS thresholds 0.50 to 0.95, and box AP, with pycocotools.

    Object keypoint similarity takes the data set's sigmas; 20 detections an image count
    for keypoints, 100 for boxes. A detection's score is its box's.

    The file is read and checked as the data set's is, when the data set's ``metainfo``
    comes: before the first step of a training. A detection whose score, box or
    keypoints aren't all finite matches nothing: it is a false positive, and the last
    one if it is the score.

    Args:
        ann_file: The ``person_keypoints_*.json`` of the images.
        metric: ``'keypoints'``, ``'bbox'`` or both.
        outfile_prefix: Where to write COCO result files, ``{prefix}.keypoints.json``
            and ``{prefix}.bbox.json``; None: nowhere.
        format_only: Only write them (a test set without ground truth).
        collect_device: As BaseMetric's.
        prefix: First part of the results' names.

    Raises:
        ConfigError: For another ``metric``; for a file that is wrong, doesn't fit the
            data set's keypoints, or lacks one of its images.
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
            raise ConfigError(f"metric={metric!r} is not one or more of {KINDS}")
        if format_only and outfile_prefix is None:
            raise ConfigError("format_only=True needs outfile_prefix, and it is None")
        self.ann_file = ann_file
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only
        self._truth: dict[str, list[Entry]] = {}

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Return the data set's ``metainfo``."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta
        check_metainfo(dataset_meta)
        if is_main_process():  # the one that computes
            self._truth = read_keypoints(
                self.ann_file,
                dataset_meta["classes"],
                dataset_meta["keypoints"],
                with_annotations=not self.format_only,
                with_sizes=False,
            )

    def process(self, data_batch: Any, data_samples: Sequence[Entry]) -> None:
        """Keep each image's boxes (x1, y1, x2, y2), scores, labels and keypoints."""
        for sample in data_samples:
            found = sample["pred_instances"]
            if "keypoints" in self.metrics and "keypoints" not in found:
                raise ConfigError(
                    "the predictions have no keypoints: metric='keypoints' needs a "
                    "model with a keypoint head (roi_head.type="
                    "'nlse_mm.KeypointRoIHead')"
                )
            kept = dict(img_id=sample["img_id"])
            for key in ("bboxes", "scores", "labels", "keypoints", "keypoint_scores"):
                if key in found:
                    kept[key] = found[key].detach().cpu().numpy()
            self.results.append(kept)

    def compute_metrics(self, results: list[Entry]) -> dict[str, float]:
        """Return ``bbox_*`` and ``keypoints_*`` of all images."""
        categories = [c["id"] for c in self._truth["categories"]]
        known = {id_text(image["id"]): image["id"] for image in self._truth["images"]}
        for image in results:
            key = id_text(image["img_id"])
            if key not in known and not self.format_only:
                raise ConfigError(
                    f"{self.ann_file} has no image with the id {image['img_id']!r}, "
                    "which the data set has: ann_file of the evaluator is of other "
                    "images"
                )
            image["img_id"] = known.get(key, id_value(image["img_id"]))
        values: dict[str, float] = {}
        for kind in self.metrics:
            found = coco_results(results, categories, kind)
            if self.outfile_prefix is not None:
                path = Path(f"{self.outfile_prefix}.{kind}.json")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(found, allow_nan=False))
            if not self.format_only:
                images = [r["img_id"] for r in results]
                values |= self._evaluate(found, kind, images)
        return values

    def _evaluate(
        self, found: list[Entry], kind: str, images: list[Any]
    ) -> dict[str, float]:
        names = {f"{kind}_{name}": place for name, place in _STATS[kind].items()}
        if not found:
            MMLogger.get_current_instance().warning(f"no detection at all: {kind} 0")
            return dict.fromkeys(names, 0.0)
        # pycocotools sorts ids by NumPy, which makes texts of all if one is a text.
        image = _ranks(self._truth["images"])
        category = _ranks(self._truth["categories"])
        found, truth = (
            [
                dict(
                    a,
                    image_id=image[id_text(a["image_id"])],
                    category_id=category[id_text(a["category_id"])],
                )
                for a in annotations
            ]
            for annotations in (found, self._truth["annotations"])
        )
        coco = index(
            dict(
                images=[dict(id=i) for i in image.values()],
                annotations=truth,
                categories=[dict(id=i) for i in category.values()],
            ),
            COCO(),
        )
        evaluation = COCOeval(coco, coco.loadRes(found), kind)
        evaluation.params.imgIds = [image[id_text(i)] for i in images]
        evaluation.params.catIds = list(category.values())
        if kind == "keypoints":
            evaluation.params.kpt_oks_sigmas = np.array(self._dataset_meta["sigmas"])
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return {n: float(evaluation.stats[place]) for n, place in names.items()}


def _ranks(entries: list[Entry]) -> dict[str, int]:
    """Number entries from 1, in the order of their ids: numbers, then texts."""
    ids = sorted(
        (entry["id"] for entry in entries), key=lambda i: (isinstance(i, str), i)
    )
    return {id_text(i): rank for rank, i in enumerate(ids, 1)}


def coco_results(results: list[Entry], categories: list[Any], kind: str) -> list[Entry]:
    """Return COCO's list of detections: x, y, w, h, or keypoints at pixel indices.

    Not both in one list: with boxes, pycocotools would take a pose's size from them.
    A detection that holds NaN or infinity is put where nothing is.
    """
    found, lost = [], 0
    for image in results:
        boxes = image["bboxes"].copy()
        boxes[:, 2:] -= boxes[:, :2]
        for i, label in enumerate(image["labels"]):
            if kind == "bbox":
                place = boxes[i]
            else:
                xy = image["keypoints"][i] - 0.5  # (K, 2); the data set added it
                scores = image["keypoint_scores"][i][:, None]  # (K, 1)
                place = np.hstack((xy, scores)).ravel()  # (3 K,)
            score = float(image["scores"][i])
            if not np.isfinite(place).all() or not np.isfinite(score):
                lost += 1
                size = (0, 0) if kind == "bbox" else ()
                place = np.array([_NOWHERE] * (len(place) - len(size)) + [*size])
            found.append(
                dict(
                    image_id=image["img_id"],
                    category_id=categories[int(label)],
                    score=score if np.isfinite(score) else 0.0,
                )
                | {kind: place.tolist()}
            )
    if lost:
        MMLogger.get_current_instance().warning(
            f"{kind}: {lost} of {len(found)} detections hold NaN or infinity: they "
            "match nothing"
        )
    return found
