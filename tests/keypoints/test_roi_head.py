"""The whole detector: its losses, its predictions, and images without people."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

from nlse_mm.keypoints import keypoints_to_heatmap
from nlse_mm.training.user_error import user_error

pytestmark = pytest.mark.usefixtures("in_mmdet")
HEIGHT, WIDTH = 96, 128


def build(**roi_head):
    torch.manual_seed(0)
    config = Config.fromfile("configs/tiny/keypoint_rcnn_r18_nl.py").model
    config.roi_head.update(roi_head)
    config.test_cfg.rcnn.score_thr = 0.0
    model = MODELS.build(config)
    model.init_weights()
    model.roi_head.bbox_head.fc_reg.weight.data *= 30  # boxes of several sizes
    return model


def image(people, scale=(1.0, 1.0)):
    """A random image with so many people, each keypoint somewhere in its box."""
    boxes = torch.tensor([[10.0, 8.0, 60.0, 90.0], [70.0, 5.0, 120.0, 80.0]])[:people]
    size = (boxes[:, 2:] - boxes[:, :2])[:, None]
    truth = InstanceData(
        bboxes=boxes,
        labels=torch.zeros(people, dtype=torch.long),
        keypoints=boxes[:, None, :2] + size * torch.rand(people, 17, 2),
        keypoints_visible=torch.randint(0, 3, (people, 17)).float(),
    )
    shape = (HEIGHT, WIDTH)
    ori_shape = (round(HEIGHT / scale[1]), round(WIDTH / scale[0]))
    sample = DetDataSample(
        metainfo=dict(
            img_shape=shape,
            batch_input_shape=shape,
            ori_shape=ori_shape,
            scale_factor=scale,
        )
    )
    sample.gt_instances = truth
    return torch.randint(0, 255, (3, HEIGHT, WIDTH)), sample


def batch(model, training, *images):
    inputs, samples = map(list, zip(*images, strict=True))
    data = dict(inputs=inputs, data_samples=samples)
    return model.data_preprocessor(data, training)


def total(losses):
    return sum(sum(v) if isinstance(v, list) else v for v in losses.values())


def test_a_training_step_reaches_every_parameter():
    model = build().train()
    losses = model(**batch(model, True, image(2), image(1)), mode="loss")
    assert {"loss_keypoint", "loss_bbox", "loss_cls"} < set(losses)
    total(losses).backward()
    # At the start the block's last norm has a weight of zero, which stops gradients.
    assert all(p.grad is not None for p in model.parameters())
    assert model.roi_head.keypoint_head.upsample.weight.grad.abs().sum() > 0


def test_images_without_people_give_every_parameter_a_gradient():
    model = build().train()
    losses = model(**batch(model, True, image(0), image(0)), mode="loss")
    assert float(losses["loss_keypoint"]) == 0
    total(losses).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert all((p.grad == 0).all() for p in model.roi_head.keypoint_head.parameters())


def test_the_loss_is_over_the_regions_that_show_a_keypoint():
    model = build().eval()  # norms that don't depend on the other regions
    inputs = batch(model, True, image(2), image(2))
    samples = inputs["data_samples"]
    samples[0].gt_instances.keypoints_visible[0] = 0
    seen = []
    hook = model.roi_head.keypoint_head.register_forward_hook(
        lambda module, args, maps: seen.append(maps)
    )
    x = model.extract_feat(inputs["inputs"])

    class Sampled:
        def __init__(self, sample):
            self.pos_priors = sample.gt_instances.bboxes
            self.pos_assigned_gt_inds = torch.arange(2)

    truth = [sample.gt_instances for sample in samples]
    found = model.roi_head.keypoint_loss(x, [Sampled(s) for s in samples], truth)
    hook.remove()
    assert len(seen[0]) == 3
    expected, count, r = 0, 0, 0
    for i, sample in enumerate(samples):
        for j in range(2):
            person = sample.gt_instances[[j]]
            if (i, j) == (0, 0):
                continue
            visible = person.keypoints_visible[..., None]
            keypoints = torch.cat((person.keypoints, visible), -1)
            cells, valid = keypoints_to_heatmap(keypoints, person.bboxes, 56)
            for k in range(17):
                if valid[0, k]:
                    expected -= seen[0][r, k].flatten().log_softmax(0)[cells[0, k]]
                    count += 1
            r += 1
    torch.testing.assert_close(found["loss_keypoint"], expected / count)


@pytest.mark.parametrize("K", [5, 18])
def test_another_number_of_keypoints_than_the_heads_is_named(K):
    model = build().train()
    inputs = batch(model, True, image(2), image(1))
    for sample in inputs["data_samples"]:
        truth = sample.gt_instances
        truth.keypoints = torch.rand(len(truth), K, 2)
        truth.keypoints_visible = torch.ones(len(truth), K)
    words = rf"keypoint_head\.num_keypoints=17, but the data set has {K} keypoints"
    with pytest.raises(ValueError, match=words):
        model(**inputs, mode="loss")


def test_keypoints_and_boxes_are_rescaled_alike():
    model = build().eval()
    pixels, sample = image(0, scale=(2.0, 1.5))
    results = []
    for rescale in (False, True):
        data = batch(model, False, (pixels, sample.clone()))
        with torch.no_grad():
            (found,) = model.predict(*data.values(), rescale=rescale)
        results.append(found.pred_instances)
    resized, original = results
    assert len(resized) > 3
    assert resized.keypoints.shape == (len(resized), 17, 2)
    scale = torch.tensor([2.0, 1.5])
    torch.testing.assert_close(original.keypoints * scale, resized.keypoints)
    torch.testing.assert_close(original.bboxes * scale.repeat(2), resized.bboxes)
    start, end = resized.bboxes[:, None, :2], resized.bboxes[:, None, 2:].clone()
    assert (resized.keypoints >= start).all()
    assert (resized.keypoints <= torch.maximum(end, start + 1)).all()


def test_an_image_without_a_detection_has_no_keypoints():
    model = build().eval()
    model.roi_head.test_cfg.score_thr = 1.1
    with torch.no_grad():
        found = model.predict(*batch(model, False, image(0), image(1)).values())
    for sample in found:
        assert sample.pred_instances.keypoints.shape == (0, 17, 2)
        assert sample.pred_instances.keypoint_scores.shape == (0, 17)


def test_a_mask_head_stands_beside_it():
    mask_head = dict(
        type="FCNMaskHead",
        num_convs=1,
        in_channels=64,
        conv_out_channels=8,
        num_classes=1,
        loss_mask=dict(type="CrossEntropyLoss", use_mask=True),
    )
    config = Config.fromfile("configs/tiny/keypoint_rcnn_r18_nl.py").model
    extractor = config.roi_head.keypoint_roi_extractor
    model = build(mask_head=mask_head, mask_roi_extractor=extractor).eval()
    plain = build().eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    model.roi_head.test_cfg.mask_thr_binary = 0.5
    one = image(0, scale=(2.0, 1.5))
    with torch.no_grad():
        (found,) = model.predict(*batch(model, False, one).values())
        (expected,) = plain.predict(*batch(plain, False, one).values())
    found, expected = found.pred_instances, expected.pred_instances
    assert found.masks.shape == (len(found), 64, 64)
    for key in ("bboxes", "scores", "keypoints", "keypoint_scores"):
        torch.testing.assert_close(found[key], expected[key])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda sample: sample.gt_instances.pop("keypoints"),
            "the training samples have no keypoints: train_dataloader.dataset needs "
            "type='nlse_mm.CocoKeypointDataset', and its pipeline "
            "nlse_mm.LoadKeypoints and nlse_mm.PackKeypoints",
        ),
        (
            lambda sample: sample.set_metainfo(dict(gt_of_original_image=True)),
            "resized or flipped before nlse_mm.LoadKeypoints loaded its keypoints",
        ),
    ],
    ids=["no keypoints", "keypoints of the original image"],
)
def test_samples_that_cannot_teach_keypoints_end_in_a_sentence(spoil, sentence):
    images = image(2), image(1)
    spoil(images[1][1])
    model = build().train()
    with pytest.raises(ValueError, match="keypoints") as refused:
        model(**batch(model, True, *images), mode="loss")
    assert sentence in user_error(refused.value)
