"""The segmentation configs: their baselines with the plugin, and trainable."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope

from nlse_mm.config_file import read_config

CONFIGS = Path(__file__).parents[2] / "configs"
PUBLISHED = {
    "nlhead_r50_cityscapes": "nonlocal_r50-d8_4xb2-80k_cityscapes-512x1024",
    "nlhead_r50_ade20k": "nonlocal_r50-d8_4xb4-160k_ade20k-512x512",
}


def build(config):
    config.model.pop("pretrained", None)
    config.model.backbone.init_cfg = None  # weights are downloaded
    with DefaultScope.overwrite_default_scope(config.default_scope):
        return revert_sync_batchnorm(MODELS.build(config.model))


def load(name):
    return read_config(CONFIGS / f"{name}.py")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_checkpoints_fit_and_the_recipe_is_theirs(name):
    mmseg = pytest.importorskip("mmseg")
    config = load(name)
    shipped = Path(mmseg.__file__).parent / ".mim" / "configs" / "nonlocal_net"
    stock = Config.fromfile(shipped / f"{PUBLISHED[name]}.py")
    for section in ("optim_wrapper", "train_cfg"):
        ours, theirs = config[section], stock[section]
        ours.pop("_scope_", None)  # the toolbox whose base file it came from
        assert ours == theirs
    assert 8 * config.train_dataloader.batch_size == (
        4 * stock.train_dataloader.batch_size
    )
    shapes = {k: v.shape for k, v in build(config).state_dict().items()}
    assert shapes == {k: v.shape for k, v in build(stock).state_dict().items()}


@pytest.mark.parametrize("algorithm", ["fcn", "deeplabv3"])
def test_before_training_logits_equal_the_baselines_bit_for_bit(algorithm):
    pytest.importorskip("mmseg")
    config = load(f"{algorithm}_r50_nl_coco-stuff")
    baseline = load(f"{algorithm}_r50_nl_coco-stuff")
    baseline.model.backbone.type = "ResNetV1c"
    del baseline.model.backbone["plugins"]
    model, stock = build(config), build(baseline)
    missing, unexpected = model.load_state_dict(stock.state_dict(), strict=False)
    assert missing
    assert not unexpected
    assert all(".layer3.4.nonlocal_block." in name for name in missing)
    image = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        ours, theirs = (m.eval()(image, mode="tensor") for m in (model, stock))
    assert ours.shape == (1, 171, 9, 13)  # stride 8
    assert torch.equal(ours, theirs)


def test_an_se_trunk_is_dilated_as_the_stock_trunk():
    pytest.importorskip("mmseg")
    from torch.nn import Conv2d

    se = build(load("fcn_r50_se_coco-stuff")).backbone
    plain = load("fcn_r50_coco-stuff")
    plain.model.backbone.type = "ResNet"
    stock = build(plain).backbone
    geometry = [
        {
            name: (conv.stride, conv.dilation, conv.padding)
            for name, conv in backbone.named_modules()
            if isinstance(conv, Conv2d) and "se_layer" not in name
        }
        for backbone in (se, stock)
    ]
    assert geometry[0] == geometry[1]
    assert geometry[0]["layer4.1.conv2"] == ((1, 1), (4, 4), (4, 4))
    assert sum(name.endswith("se_layer") for name, _ in se.named_modules()) == 16


@pytest.mark.parametrize("plugin", ["nl", "se"])
def test_panoptic_fpns_semantic_head_learns_from_labels(plugin):
    pytest.importorskip("mmdet")
    from mmdet.structures import DetDataSample
    from mmengine.structures import PixelData

    config = load(f"panoptic_fpn_r50_{plugin}")
    config.model.backbone.frozen_stages = -1
    model = build(config).train()
    labels = torch.arange(54).repeat_interleave(76)[: 64 * 64].reshape(1, 64, 64)
    sample = DetDataSample(
        gt_sem_seg=PixelData(sem_seg=labels),
        metainfo=dict(img_shape=(64, 64), batch_input_shape=(64, 64)),
    )
    features = model.extract_feat(torch.rand(1, 3, 64, 64))
    losses = model.semantic_head.loss(features, [sample])
    assert losses["loss_seg"].isfinite()
    assert losses["loss_seg"] > 1
    losses["loss_seg"].backward()
    name = {"nl": "nonlocal_block.conv_out.bn.weight", "se": "se_layer.conv2.conv.bias"}
    reached = [
        p.grad.abs().max()
        for n, p in model.backbone.named_parameters()
        if n.endswith(name[plugin])
    ]
    assert len(reached) == {"nl": 1, "se": 16}[plugin]
    assert min(reached) > 0


def test_the_panoptic_metric_says_where_panopticapi_is():
    pytest.importorskip("mmdet")
    from importlib.util import find_spec

    if find_spec("panopticapi"):
        pytest.skip("panopticapi is installed")
    from mmdet.registry import METRICS

    with pytest.raises(RuntimeError, match=r"git.*cocodataset/panopticapi"):
        METRICS.build(load("panoptic_fpn_r50_nl").val_evaluator)


SCENES = sorted(
    path.relative_to(CONFIGS).with_suffix("").as_posix()
    for word in ("fcn", "nlhead", "deeplab")
    for path in CONFIGS.rglob(f"{word}*.py")
)


@pytest.mark.parametrize("name", SCENES)
def test_its_tta_sees_a_photo_and_its_mirror_image_and_keeps_the_labels(name, tmp_path):
    pytest.importorskip("mmseg")
    config = load(name)
    assert config.tta_model.type == "SegTTAModel"
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    labels = np.ones((40, 60), np.uint8)
    labels[0, 0] = 3
    cv2.imwrite(str(tmp_path / "image.png"), image)
    cv2.imwrite(str(tmp_path / "labels.png"), labels)
    from_one = "ade20k" in name  # 0 is no label there
    info = dict(
        img_path=str(tmp_path / "image.png"),
        seg_map_path=str(tmp_path / "labels.png"),
        label_map=None,
        reduce_zero_label=from_one,
        seg_fields=[],
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        views = Compose(config.tta_pipeline)(info)
    sizes = {view.shape for view in views["inputs"]}
    assert len(views["inputs"]) == 2 * len(sizes)
    for plain, mirrored in zip(*[iter(views["inputs"])] * 2, strict=True):
        assert torch.equal(plain.flip(2), mirrored)
    for sample in views["data_samples"]:
        expected = torch.from_numpy(labels).long() - int(from_one)
        assert torch.equal(sample.gt_sem_seg.data[0], expected)


def test_miou_equals_an_independent_count_of_pixels():
    pytest.importorskip("mmseg")
    from mmseg.evaluation import IoUMetric

    generator = torch.Generator().manual_seed(3)
    pairs = [
        torch.randint(0, 4, (2, 1, h, w), generator=generator)
        for h, w in [(7, 9), (5, 12), (8, 8)]
    ]
    metric = IoUMetric(**{k: v for k, v in _evaluator().items() if k != "type"})
    metric.dataset_meta = dict(classes=("a", "b", "c", "d", "never"))
    hits, either = [0] * 5, [0] * 5
    for prediction, label in pairs:
        label[0, 0, :3] = 255
        sample = dict(pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=label))
        metric.process({}, [sample])
        for p, t in zip(prediction.flatten(), label.flatten(), strict=True):
            if t == 255:
                continue
            either[p] += 1
            if p == t:
                hits[p] += 1
            else:
                either[t] += 1
    found = metric.evaluate(len(pairs))["mIoU"]
    ious = [h / e for h, e in zip(hits, either, strict=True) if e]
    assert len(ious) == 4  # a class that never appears doesn't count
    assert found == pytest.approx(100 * sum(ious) / 4, abs=0.005)


def _evaluator():
    return load("fcn_r50_nl_coco-panoptic").val_evaluator.to_dict()
