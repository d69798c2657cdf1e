"""Merge boxes and keypoints of several views of an image: flipped, resized.

Shapes: R regions of the whole batch, K keypoints, S cells of a map each way.
"""

from typing import Any

import torch
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi, bbox_flip
from torch import Tensor

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import MODELS

from .heatmap import heatmaps_to_keypoints


@MODELS.register_module()
@checked
class KeypointTTAModel(DetTTAModel):
    """Merge the views' boxes as ``DetTTAModel`` does, and the keypoints in them.

    Every view gives its maps of every merged box, mirrored back with their left and
    right keypoints; the mean of the logits is decoded (Detectron's HM_AVG). The views'
    metas need ``scale_factor``, ``flip``, ``flip_direction`` and ``flip_indices``.

    Args:
        **kwargs: What DetTTAModel takes: ``module``, ``tta_cfg``.

    Raises:
        ConfigError: If the model has no keypoint head, or a mask head.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        roi_head: Any = getattr(self.module, "roi_head", None)
        if not hasattr(roi_head, "keypoint_head"):
            raise ConfigError(
                f"KeypointTTAModel needs a model with a keypoint head, and roi_head is "
                f"{type(roi_head).__name__}"
            )
        if roi_head.with_mask:
            raise ConfigError(
                "KeypointTTAModel merges boxes and keypoints, not masks: take "
                "roi_head.mask_head out (mask_head=None, mask_roi_extractor=None)"
            )

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> SampleList:
        """Merge the predictions of a batch; ``data`` holds a list of views per key."""
        views = [
            self._view(dict(zip(data, view, strict=True)))
            for view in zip(*data.values(), strict=True)
        ]
        features, samples = zip(*views, strict=True)
        # Merging writes into the first view's samples.
        metas = [[sample.metainfo for sample in view] for view in samples]
        merged = self.merge_preds(list(map(list, zip(*samples, strict=True))))
        boxes = [sample.pred_instances.bboxes for sample in merged]
        maps = [
            self._maps(x, meta, boxes) for x, meta in zip(features, metas, strict=True)
        ]
        # Decoded, as without views, at the pixels of the resized image.
        counts = [len(own) for own in boxes]
        scales = boxes[0].new_tensor([meta["scale_factor"] for meta in metas[0]])
        scale = scales.repeat_interleave(  # (R, 2): x, y
            torch.tensor(counts).to(scales.device), dim=0
        )
        regions = torch.cat(boxes) * scale.repeat(1, 2)  # (R, 4)
        mean = torch.stack(maps).mean(0)  # (R, K, S, S)
        keypoints = heatmaps_to_keypoints(mean, regions)  # (R, K, 4)
        keypoints[..., :2] /= scale[:, None]
        for sample, part in zip(merged, keypoints.split(counts), strict=True):
            sample.pred_instances.keypoints = part[..., :2]
            sample.pred_instances.keypoint_scores = part[..., 3]
        return merged

    def _view(
        self, data: dict[str, list[Any]]
    ) -> tuple[tuple[Tensor, ...], SampleList]:
        """Return a view's feature maps, and its samples, boxes in original pixels."""
        model = self.module
        data = model.data_preprocessor(data, False)
        samples = data["data_samples"]
        x = model.extract_feat(data["inputs"])
        proposals = model.rpn_head.predict(x, samples, rescale=False)
        metas = [sample.metainfo for sample in samples]
        found = model.roi_head.predict_bbox(
            x, metas, proposals, model.roi_head.test_cfg, rescale=True
        )
        for sample, instances in zip(samples, found, strict=True):
            sample.pred_instances = instances
        return x, samples

    def _maps(
        self, x: tuple[Tensor, ...], metas: list[dict[str, Any]], boxes: list[Tensor]
    ) -> Tensor:
        """Return logits (R, K, S, S) of the boxes in one view, mirrored back."""
        in_view = []
        for meta, own in zip(metas, boxes, strict=True):
            if meta["flip"]:
                own = bbox_flip(own, meta["ori_shape"], meta["flip_direction"])
            in_view.append(own * own.new_tensor(meta["scale_factor"]).repeat(2))
        maps = self.module.roi_head.keypoint_maps(x, bbox2roi(in_view))
        parts = maps.split([len(b) for b in boxes])
        return torch.cat(
            [
                mirror_maps(part, meta["flip_direction"], meta["flip_indices"])
                if meta["flip"]
                else part
                for part, meta in zip(parts, metas, strict=True)
            ]
        )


def mirror_maps(maps: Tensor, direction: str, indices: Any) -> Tensor:
    """Mirror maps back: keypoints and cells in their places.

    Args:
        maps: (R, K, S, S).
        direction: ``'horizontal'``, ``'vertical'``, or ``'diagonal'``, which turns the
            image and mirrors no keypoint.
        indices: For each keypoint the one that a mirror shows in its place, (K,).

    Raises:
        ConfigError: If the keypoints are mirrored and ``indices`` is None.
    """
    if direction != "diagonal":
        if indices is None:
            raise ConfigError(
                "flipped views need to know which keypoints are left and right: "
                "metainfo flip_pairs is None"
            )
        maps = maps[:, torch.as_tensor(indices, device=maps.device)]
    axes = dict(horizontal=(-1,), vertical=(-2,), diagonal=(-2, -1))[direction]
    return maps.flip(axes)
