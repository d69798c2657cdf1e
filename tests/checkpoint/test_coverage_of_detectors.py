"""MMDetection's own models, wrapped and copied: does the checkpoint fill them?"""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from nlse_mm.checkpoint import check_coverage
from nlse_mm.checkpoint.coverage.dry_load import own_state
from nlse_mm.checkpoint.coverage.weights import weights_of
from nlse_mm.errors import CheckpointError

pytest.importorskip("mmdet")


def config():
    model = Config.fromfile("configs/tiny/mask_rcnn_r18.py").model
    model.backbone.init_cfg = None
    return model


def build(cfg):
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(cfg)


def semi_supervised(predict_on="teacher"):
    return build(
        dict(
            type="SoftTeacher",
            detector=config(),
            semi_train_cfg=dict(freeze_teacher=True),
            semi_test_cfg=dict(predict_on=predict_on),
        )
    )


@pytest.fixture(scope="module")
def detector():
    return build(config())


@pytest.fixture(scope="module")
def plain(detector):
    return {key: value.clone() for key, value in detector.state_dict().items()}


@pytest.fixture(scope="module")
def semi():
    return semi_supervised()


def behind(prefix, weights):
    return {f"{prefix}{key}": value for key, value in weights.items()}


def fills(model, checkpoint):
    """Check it at each stage, and that MMEngine's loading then fills every value."""
    for stage in ({}, dict(testing=True), dict(resuming=True)):
        check_coverage(model, checkpoint, "a.pth", **stage)
    state = dict(own_state(model))
    weights = weights_of(checkpoint, "a.pth", state)
    weights = {key: value.clone() for key, value in weights.items()}
    values = [value.data for value in state.values() if value.is_floating_point()]
    for value in values:
        value.fill_(torch.nan)
    load_state_dict(model, weights)
    return not any(value.isnan().any() for value in values)


def flat_copies(weights):
    """The EMA copy of each weight, as MMDetection 2.x names it."""
    return {f"ema_{key.replace('.', '_')}": value for key, value in weights.items()}


def test_ema_copies_beside_the_weights_are_no_other_model(detector, plain, log):
    assert fills(detector, dict(state_dict=plain | flat_copies(plain)))
    assert log[0] == "a.pth: 162 of the model's 162 keys match"
    wrapped = behind("module.", plain | flat_copies(plain))
    assert fills(detector, dict(state_dict=wrapped))
    averaged = behind("module.", plain) | dict(steps=torch.tensor(9))
    assert fills(detector, dict(state_dict=averaged, ema_state_dict=plain))
    nested = plain | behind("ema_model.module.", plain)
    assert fills(detector, dict(state_dict=nested, optimizer={}))


def test_ema_copies_alone_are_not_the_model(detector, plain):
    with pytest.raises(CheckpointError, match="0 of the model's 162"):
        check_coverage(detector, flat_copies(plain), "a.pth")


@pytest.mark.parametrize(
    "prefix", ["", "module.", "module.module.", "_orig_mod.", "module._orig_mod."]
)
def test_wrappers_prefixes_do_not_matter(detector, plain, prefix, log):
    changed = {key: value + 1 for key, value in plain.items()}
    weights = weights_of(behind(prefix, changed), "a.pth")
    check_coverage(detector, behind(prefix, changed), "a.pth", testing=True)
    assert log == ["a.pth: 162 of the model's 162 keys match"]
    assert weights.keys() == plain.keys()


def test_a_compiled_backbone_may_be_in_the_model_or_in_the_checkpoint(detector, plain):
    compiled = {k.replace("backbone.", "backbone._orig_mod."): plain[k] for k in plain}
    assert fills(detector, compiled)
    model = build(config())
    # What torch.compile puts around a module, without the seconds that it takes.
    model.backbone = nn.ModuleDict(dict(_orig_mod=model.backbone))
    assert model.state_dict().keys() == compiled.keys()
    assert fills(model, compiled)
    assert fills(model, plain)


def test_a_semi_supervised_model_takes_a_plain_detectors_weights(
    semi, detector, plain, log
):
    check_coverage(semi, dict(state_dict=plain), "a.pth", testing=True)
    assert log == ["a.pth: 324 of the model's 324 keys match"]
    assert fills(semi, behind("module.", plain))
    assert fills(semi, plain | flat_copies(plain))
    conv = "backbone.layer1.0.conv1.weight"
    for part in (semi.teacher, semi.student):
        assert torch.equal(part.state_dict()[conv], plain[conv])
    assert fills(semi, semi.state_dict())


def test_of_student_and_teacher_a_test_needs_the_one_that_predicts(semi):
    weights = semi.state_dict()
    for predicts, other in (("teacher", "student"), ("student", "teacher")):
        model = semi if predicts == "teacher" else semi_supervised(predicts)
        half = {k: v for k, v in weights.items() if k.startswith(predicts)}
        check_coverage(model, half, "a.pth", testing=True)
        half = {k: v for k, v in weights.items() if k.startswith(other)}
        with pytest.raises(CheckpointError, match=f"missing keys: all of {predicts} "):
            check_coverage(model, half, "a.pth", testing=True)


@pytest.mark.parametrize("testing", [True, False])
def test_a_detector_says_where_its_weights_are(detector, semi, plain, testing):
    for weights, where in (
        (semi.state_dict(), "'student.' and 'teacher.'"),
        (behind("model.", plain), "'model.'"),
        (behind("model.detector.", plain), "'model.detector.'"),
    ):
        with pytest.raises(CheckpointError) as caught:
            check_coverage(detector, weights, "a.pth", testing=testing)
        message = str(caught.value)
        assert f"its keys match behind {where}: save them without" in message
        assert "0 of the model's 162 keys match" in message


def test_a_detector_under_test_time_augmentation_is_the_detector(plain):
    post = dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=9)
    model = build(dict(type="DetTTAModel", module=config(), tta_cfg=post))
    assert fills(model, plain)


def test_a_larger_detectors_heads_are_no_other_model(detector, plain):
    """Mask R-CNN's weights in Faster R-CNN compute the boxes that were trained."""
    faster = config()
    faster.roi_head.update(mask_head=None, mask_roi_extractor=None)
    assert fills(build(faster), plain)
    many = {
        f"roi_head.keypoint_head.convs.{i}.weight": torch.ones(1) for i in range(99)
    }
    assert fills(detector, plain | many)


def test_a_region_proposal_network_takes_a_single_stage_detectors_name(plain):
    """RPN's own hook: what is rpn_head in Mask R-CNN is bbox_head or rpn_head in it."""
    cfg = config()
    rpn = build(
        dict(
            type="RPN",
            data_preprocessor=cfg.data_preprocessor,
            backbone=cfg.backbone,
            neck=cfg.neck,
            rpn_head=cfg.rpn_head,
            train_cfg=cfg.train_cfg,
            test_cfg=cfg.test_cfg,
        )
    )
    weights = {k: v for k, v in plain.items() if not k.startswith("roi_head.")}
    assert fills(rpn, weights)
    assert fills(rpn, plain)
