"""Find boxes and keypoints in the same regions, and masks if there is a mask head.

Shapes: R regions of the whole batch, K keypoints, C channels, S cells of a map each
way, N detections of one image.
"""

from typing import Any

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from torch import Tensor

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import MODELS

from .heatmap import heatmaps_to_keypoints, keypoints_to_heatmap


@MODELS.register_module()
@checked(models=("keypoint_roi_extractor", "keypoint_head"))
class KeypointRoIHead(StandardRoIHead):
    """Add a keypoint head to ``StandardRoIHead``, beside the box and mask heads.

    Args:
        keypoint_roi_extractor: Config of the extractor of the keypoint head's features.
        keypoint_head: Config of the head, such as ``KeypointRCNNHead``.
        **kwargs: What StandardRoIHead takes.
    """

    def __init__(
        self,
        keypoint_roi_extractor: dict,
        keypoint_head: dict,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keypoint_roi_extractor = MODELS.build(keypoint_roi_extractor)
        self.keypoint_head = MODELS.build(keypoint_head)

    def forward(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList | None = None,
    ) -> tuple[Tensor, ...]:
        """Return raw outputs, for export and counting operations, keypoints last."""
        rois = bbox2roi([results.bboxes for results in rpn_results_list])
        outputs = super().forward(x, rpn_results_list, batch_data_samples)
        return (*outputs, self.keypoint_maps(x, rois[:100]))

    def loss(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
    ) -> dict[str, Tensor]:
        """Return the losses of all heads over the same sampled regions.

        Raises:
            ConfigError: If a sample has no keypoints, or not those of its image.
        """
        _check_keypoints(batch_data_samples)
        instances, ignored, _ = unpack_gt_instances(batch_data_samples)
        sampled = []
        for i, proposals in enumerate(rpn_results_list):
            proposals.priors = proposals.pop("bboxes")
            assigned = self.bbox_assigner.assign(proposals, instances[i], ignored[i])
            feats = [level[i][None] for level in x]
            sampled.append(
                self.bbox_sampler.sample(assigned, proposals, instances[i], feats=feats)
            )
        boxes = self.bbox_loss(x, sampled)
        losses = dict(boxes["loss_bbox"])
        if self.with_mask:
            masks = self.mask_loss(x, sampled, boxes["bbox_feats"], instances)
            losses.update(masks["loss_mask"])
        losses.update(self.keypoint_loss(x, sampled, instances))
        return losses

    def keypoint_loss(
        self,
        x: tuple[Tensor, ...],
        sampled: list[SamplingResult],
        instances: InstanceList,
    ) -> dict[str, Tensor]:
        """Return the head's loss over the regions that show a labelled keypoint."""
        self._check_number(instances)
        rois = bbox2roi([s.pos_priors for s in sampled])  # (R, 5)
        of_images = []
        for result, truth in zip(sampled, instances, strict=True):
            both = torch.cat((truth.keypoints, truth.keypoints_visible[..., None]), -1)
            of_images.append(both[result.pos_assigned_gt_inds])
        keypoints = torch.cat(of_images).to(rois)  # (R, K, 3)
        size = 4 * self.keypoint_roi_extractor.roi_layers[0].output_size[0]
        cells, valid = keypoints_to_heatmap(keypoints, rois[:, 1:], size)  # (R, K) each
        shown = valid.any(1)  # (R,)
        maps = self.keypoint_maps(x, rois[shown])  # (R shown, K, S, S)
        return self.keypoint_head.loss(maps, cells[shown], valid[shown])

    def _check_number(self, instances: InstanceList) -> None:
        number = getattr(self.keypoint_head, "num_keypoints", None)
        for truth in instances:
            K = truth.keypoints.shape[1]
            if len(truth) and number not in (None, K):
                raise ConfigError(
                    f"roi_head.keypoint_head.num_keypoints={number}, but the data set "
                    f"has {K} keypoints: the numbers must be equal"
                )

    def keypoint_maps(self, x: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Return logits (R, K, S, S) of regions (R, 5): image, x1, y1, x2, y2."""
        extractor = self.keypoint_roi_extractor
        return self.keypoint_head(extractor(x[: extractor.num_inputs], rois))

    def predict(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Return boxes with ``keypoints`` (N, K, 2) and ``keypoint_scores`` (N, K).

        Args:
            x: Feature maps.
            rpn_results_list: Proposals of each image.
            batch_data_samples: The images' metas.
            rescale: Whether the results are in the original images' pixels.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        # Keypoints and masks are found in boxes of the resized image.
        results = self.predict_bbox(
            x, metas, rpn_results_list, self.test_cfg, rescale=False
        )
        self._predict_keypoints(x, results)
        for result, meta in zip(results, metas, strict=True):
            if rescale:
                scale = result.bboxes.new_tensor(meta["scale_factor"])  # w, h
                result.keypoints = result.keypoints / scale
                if not self.with_mask:  # the mask head divides the boxes itself
                    result.bboxes = result.bboxes / scale.repeat(2)
        if self.with_mask:
            results = self.predict_mask(x, metas, results, rescale=rescale)
        return results

    def _predict_keypoints(self, x: tuple[Tensor, ...], results: InstanceList) -> None:
        rois = bbox2roi([result.bboxes for result in results])  # (R, 5)
        if len(rois):
            keypoints = heatmaps_to_keypoints(self.keypoint_maps(x, rois), rois[:, 1:])
        else:
            keypoints = rois.new_zeros((0, self.keypoint_head.num_keypoints, 4))
        parts = keypoints.split([len(result) for result in results])  # (N, K, 4) each
        for result, part in zip(results, parts, strict=True):
            result.keypoints = part[..., :2]
            result.keypoint_scores = part[..., 3]


def _check_keypoints(samples: SampleList) -> None:
    """Check that the samples have what a keypoint head learns from."""
    for sample in samples:
        if "keypoints" not in sample.gt_instances:
            raise ConfigError(
                "the model has a keypoint head, and the training samples have no "
                "keypoints: train_dataloader.dataset needs type="
                "'nlse_mm.CocoKeypointDataset', and its pipeline nlse_mm.LoadKeypoints "
                "and nlse_mm.PackKeypoints"
            )
        if sample.get("gt_of_original_image"):
            raise ConfigError(
                "the image was resized or flipped before nlse_mm.LoadKeypoints loaded "
                "its keypoints, as is done for testing: in train_dataloader.dataset."
                "pipeline it belongs in front of what moves the image"
            )
