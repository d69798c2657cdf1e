"""The toolboxes' own models with MMCV's block, whole, at small sizes."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.cnn import NonLocal2d
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from torch import nn

from nlse_mm.placement.linear_non_local import use_linear_non_local

H, W = 64, 96


def config_of(scope, path):
    """The model of a config that the toolbox comes with."""
    package = Path(pytest.importorskip(scope).__file__).parent
    return Config.fromfile(package / ".mim" / "configs" / path).model


def build(scope, config):
    """A model, the same one converted, and its optimizer, which was made before.

    Their blocks are at work.
    """
    with DefaultScope.overwrite_default_scope(scope):
        stock = revert_sync_batchnorm(MODELS.build(config))
    (block,) = (m for m in stock.modules() if isinstance(m, NonLocal2d))
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.05)
    linear = copy.deepcopy(stock)
    parameters = list(linear.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    assert use_linear_non_local(linear) == 1
    same = zip(linear.parameters(), parameters, strict=True)
    assert all(a is b for a, b in same)
    return stock, linear, optimizer


def train(model, sample, dtype):
    """Return the losses and the gradients."""
    torch.manual_seed(2)
    np.random.seed(2)
    images = torch.randn(2, 3, H, W, dtype=dtype)
    losses = model.to(dtype).train()(images, [sample(), sample()], mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), gradients


def infer(model):
    """Return the maps of a detector's neck, or a segmentor's logits."""
    images = torch.randn(1, 3, H, W, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        if hasattr(model, "neck"):
            return model.eval().extract_feat(images)
        return [model.eval()(images)]


def assert_same(stock, linear, optimizer, sample, dtype, tolerance):
    for found, expected in zip(infer(linear), infer(stock), strict=True):
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    expected_loss, expected = train(stock, sample, dtype)
    loss, gradients = train(linear, sample, dtype)
    torch.testing.assert_close(loss, expected_loss, rtol=tolerance, atol=0)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        error = (gradients[name] - gradient).abs().max()
        # One that is zero in exact arithmetic, as phi's bias has, is rounding.
        allowed = tolerance * max(gradient.abs().max(), 1e-4)
        assert error <= allowed, name
    before = [p.detach().clone() for p in linear.parameters() if p.grad is not None]
    optimizer.step()
    after = [p for p in linear.parameters() if p.grad is not None]
    assert sum(not torch.equal(*p) for p in zip(before, after, strict=True)) > 50


def test_libra_rcnn_of_mmdetection_stays_the_same():
    pytest.importorskip("mmdet")
    from mmdet.structures import DetDataSample

    def sample():
        size = dict.fromkeys(
            ("img_shape", "pad_shape", "ori_shape", "batch_input_shape"), (H, W)
        )
        data = DetDataSample(metainfo=dict(**size, scale_factor=(1.0, 1.0)))
        boxes = torch.tensor([[10.0, 12, 50, 60], [30, 5, 90, 60]])
        data.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1, 5]))
        return data

    config = config_of("mmdet", "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py")
    config.backbone.init_cfg = None
    # MMCV's operators have no double precision.
    assert_same(*build("mmdet", config), sample, torch.float32, 1e-5)


def test_the_non_local_net_of_mmsegmentation_stays_the_same():
    pytest.importorskip("mmseg")
    from mmseg.structures import SegDataSample

    def sample():
        labels = torch.arange(H * W).view(1, H, W) // 1000
        return SegDataSample(gt_sem_seg=PixelData(data=labels))

    path = "nonlocal_net/nonlocal_r50-d8_4xb2-40k_cityscapes-512x1024.py"
    config = config_of("mmseg", path)
    config.pretrained = config.auxiliary_head = None
    config.backbone.depth = 18  # the block gets what it does behind R50, in seconds
    config.decode_head.update(in_channels=512, channels=64)
    assert_same(*build("mmseg", config), sample, torch.float64, 1e-9)


def test_the_block_of_dnlnet_is_left_alone():
    path = "dnlnet/dnl_r50-d8_4xb2-40k_cityscapes-512x1024.py"
    config = config_of("mmseg", path).decode_head
    with DefaultScope.overwrite_default_scope("mmseg"):
        head = MODELS.build(config)
    assert use_linear_non_local(head) == 0
