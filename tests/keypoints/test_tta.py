"""Flipped views: mirrored maps, their mean by hand, and what stays the same."""

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, DefaultScope

from nlse_mm.keypoints import heatmaps_to_keypoints
from nlse_mm.keypoints.metainfo import COCO_PERSON, flip_indices
from nlse_mm.keypoints.tta import mirror_maps

pytestmark = pytest.mark.usefixtures("in_mmdet")
NAMES = COCO_PERSON["keypoints"]
KEYS = ("img_id", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
HEIGHT, WIDTH = 90, 122


def partner(name):
    return name.replace("left", "R").replace("right", "left").replace("R", "right")


@pytest.fixture(scope="module")
def model():
    """The tiny model, with weights that find something."""
    torch.manual_seed(0)
    config = Config.fromfile("configs/tiny/keypoint_rcnn_r18_nl.py").model
    config.test_cfg.rcnn.score_thr = 0.0
    nms = ConfigDict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=6)
    with DefaultScope.overwrite_default_scope("mmdet"):
        built = MODELS.build(
            dict(type="nlse_mm.KeypointTTAModel", module=config, tta_cfg=nms)
        )
    built.module.init_weights()
    built.module.roi_head.bbox_head.fc_reg.weight.data *= 30
    return built.eval()


def views(*images, probs=(0.0, 1.0)):
    """A batch of images, each resized and then not flipped or flipped."""
    step = dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="nlse_mm.ResizeKeypoints", scale=(160, 128))],
            [dict(type="nlse_mm.FlipKeypoints", prob=prob) for prob in probs],
            [dict(type="nlse_mm.PackKeypoints", meta_keys=(*KEYS, "flip_indices"))],
        ],
    )
    return pseudo_collate(
        [
            TRANSFORMS.build(step)(
                dict(
                    img=image,
                    img_id=i,
                    img_shape=image.shape[:2],
                    ori_shape=image.shape[:2],
                    flip_indices=flip_indices(COCO_PERSON),
                )
            )
            for i, image in enumerate(images)
        ]
    )


def random_images(count):
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
def test_maps_are_mirrored_cell_by_cell_and_side_by_side(direction):
    maps = torch.randn(2, 17, 4, 4)
    found = mirror_maps(maps, direction, flip_indices(COCO_PERSON))
    for k, name in enumerate(NAMES):
        other = name if direction == "diagonal" else partner(name)
        for y in range(4):
            for x in range(4):
                there = (
                    3 - y if direction != "horizontal" else y,
                    3 - x if direction != "vertical" else x,
                )
                expected = maps[:, NAMES.index(other), there[0], there[1]]
                assert torch.equal(found[:, k, y, x], expected)


def test_it_is_the_mean_of_the_views_maps_by_hand(model):
    found = model.test_step(views(*random_images(2)))
    module = model.module
    for i, sample in enumerate(found):
        boxes = sample.pred_instances.bboxes
        assert 1 < len(boxes) <= 6
        scale = boxes.new_tensor(sample.scale_factor)
        regions = boxes * scale.repeat(2)
        original = views(random_images(2)[i], probs=(0.0,))["inputs"][0][0]
        width = original.shape[-1]
        mirrored = regions[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1])
        mirrored[:, [0, 2]] += width
        maps = []
        for image, own in ((original, regions), (original.flip(-1), mirrored)):
            image = module.data_preprocessor(dict(inputs=[image]), False)["inputs"]
            rois = torch.cat((torch.zeros(len(own), 1), own), 1)
            roi_head = module.roi_head
            with torch.no_grad():
                levels = module.extract_feat(image)[:4]
                features = roi_head.keypoint_roi_extractor(levels, rois)
                maps.append(roi_head.keypoint_head(features))
        order = [NAMES.index(partner(name)) for name in NAMES]
        back = torch.stack([maps[1][:, k] for k in order], 1).flip(-1)
        expected = heatmaps_to_keypoints((maps[0] + back) / 2, regions)
        instances = sample.pred_instances
        close = dict(rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(
            instances.keypoints, expected[..., :2] / scale, **close
        )
        torch.testing.assert_close(instances.keypoint_scores, expected[..., 3], **close)


def test_one_view_that_is_not_flipped_is_the_plain_prediction(model):
    data = views(*random_images(2), probs=(0.0,))
    merged = model.test_step(data)
    plain = model.module.test_step({key: value[0] for key, value in data.items()})
    for a, b in zip(merged, plain, strict=True):
        a, b = a.pred_instances, b.pred_instances[:6]
        for key in ("bboxes", "scores", "keypoints", "keypoint_scores"):
            torch.testing.assert_close(a[key], b[key])


def test_the_mirrored_image_has_the_mirrored_keypoints(model):
    (image,) = random_images(1)
    (found,) = model.test_step(views(image))
    (mirror,) = model.test_step(views(np.ascontiguousarray(image[:, ::-1])))
    found, mirror = found.pred_instances, mirror.pred_instances
    torch.testing.assert_close(mirror.scores, found.scores)
    order = [NAMES.index(partner(name)) for name in NAMES]
    expected = found.keypoints[:, order]
    expected[..., 0] = WIDTH - expected[..., 0]
    error = (mirror.keypoints - expected).abs().amax(-1)
    assert (error < 0.01).float().mean() > 0.95  # the rest: two peaks of one height


def test_the_views_share_neither_boxes_nor_keypoints(people):
    root, _ = people
    flips = [dict(type="nlse_mm.FlipKeypoints", prob=prob) for prob in (0.0, 1.0)]
    pack = dict(type="nlse_mm.PackKeypoints", meta_keys=KEYS)
    own, other = people_of(root, dict(type="TestTimeAug", transforms=[flips, [pack]]))
    alone, mirrored = people_of(root, pack), people_of(root, flips[1], pack)
    for key in ("bboxes", "keypoints"):
        for found, expected in ((own, alone), (other, mirrored)):
            found, expected = (s.gt_instances[key] for s in (found, expected))
            if key == "bboxes":
                found, expected = found.tensor, expected.tensor
            assert torch.equal(found, expected)


def people_of(root, *steps):
    """The packed sample of the second image, or those of its views."""
    load = dict(type="nlse_mm.LoadKeypoints", with_bbox=True)
    config = dict(
        type="nlse_mm.CocoKeypointDataset",
        data_root=str(root),
        ann_file="people.json",
        data_prefix=dict(img=""),
        pipeline=[dict(type="LoadImageFromFile"), load, *steps],
    )
    return DATASETS.build(config)[1]["data_samples"]


def test_without_a_detection_there_are_no_keypoints(model, monkeypatch):
    test_cfg = ConfigDict(model.module.roi_head.test_cfg, score_thr=1.1)
    monkeypatch.setattr(model.module.roi_head, "test_cfg", test_cfg)
    for sample in model.test_step(views(*random_images(2))):
        assert sample.pred_instances.keypoints.shape == (0, 17, 2)
        assert sample.pred_instances.keypoint_scores.shape == (0, 17)


def test_unknown_sides_are_refused():
    maps = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ValueError, match="flip_pairs is None"):
        mirror_maps(maps, "horizontal", None)
    assert mirror_maps(maps, "diagonal", None).shape == maps.shape


def test_models_it_cannot_serve_are_refused():
    config = Config.fromfile("configs/tiny/mask_rcnn_r18.py").model
    with pytest.raises(ValueError, match="roi_head is StandardRoIHead"):
        MODELS.build(dict(type="nlse_mm.KeypointTTAModel", module=config))
