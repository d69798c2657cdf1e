"""The counts equal the project's facts, hand arithmetic, and a real run's memory."""

from pathlib import Path

import pytest
import torch
from mmcv.cnn import NonLocal2d as MMCVNonLocal2d
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from nlse_mm.analysis.complexity import Complexity, complexity
from nlse_mm.plugins import NonLocal2d, SELayer

TINY = Path(__file__).parents[2] / "configs" / "tiny"
RES4 = (1, 1024, 50, 84)  # 4,200 positions: res4 of an 800 x 1344 image
PROJECTIONS = 4 * 4200 * 1024 * 512  # theta, phi, g and the last: 8.81 GMAC


def test_the_block_has_2_10_million_parameters():
    plain, with_bn = NonLocal2d(1024), NonLocal2d(1024, norm_cfg=dict(type="BN"))
    small = (1, 1024, 4, 5)
    assert complexity(plain, small).parameters == 2_099_712
    assert complexity(with_bn, small).parameters == 2_100_736
    assert round(complexity(plain, small).parameters / 1e6, 2) == 2.10


@pytest.mark.parametrize(
    ("mode", "pairwise"),
    # Query times key and weights times value; the dot product in the cheaper order.
    [("embedded_gaussian", 18.06e9), ("dot_product", 2.20e9)],
)
def test_the_two_products_at_4200_positions(mode, pairwise):
    macs = complexity(NonLocal2d(1024, mode=mode), RES4).macs
    assert macs - PROJECTIONS == pytest.approx(pairwise, rel=0.01)


def test_sub_sampling_takes_a_quarter_of_the_products():
    macs = complexity(NonLocal2d(1024, sub_sample=True), RES4).macs
    assert macs - PROJECTIONS == pytest.approx(4.52e9, rel=0.01)


def test_a_gaussian_compares_all_channels_and_has_two_projections_less():
    macs = complexity(NonLocal2d(1024, mode="gaussian"), RES4).macs
    assert macs == PROJECTIONS // 2 + 4200 * 4200 * (1024 + 512)


def test_concatenation_has_no_product_of_positions_with_positions():
    macs = complexity(NonLocal2d(1024, mode="concatenation"), RES4).macs
    # g and the last projection, theta and phi folded into a vector each, and one
    # product for each value and output; folding the weights is the rest.
    expected = PROJECTIONS // 2 + 2 * 4200 * 1024 + 2 * 4200 * 512
    assert macs == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian"])
def test_it_counts_what_mmcvs_plain_products_take(mode):
    shape = (1, 64, 12, 10)
    ours, theirs = (c(64, mode=mode) for c in (NonLocal2d, MMCVNonLocal2d))
    assert complexity(ours, shape).macs == complexity(theirs, shape).macs


def test_mmcvs_block_keeps_the_map_and_ours_does_not():
    ours, theirs = (complexity(c(1024), RES4) for c in (NonLocal2d, MMCVNonLocal2d))
    one_map = 4200 * 4200 * 4  # bytes: 67 MiB
    assert ours.kept_bytes < one_map < theirs.kept_bytes


def test_a_model_is_counted_on_the_device_that_it_is_on():
    here, elsewhere = NonLocal2d(16), NonLocal2d(16).to("meta")
    assert complexity(elsewhere, (1, 16, 5, 7)) == complexity(here, (1, 16, 5, 7))


def test_an_se_layer_multiplies_as_often_as_it_has_weights():
    cost = complexity(SELayer(256, bias=False), (1, 256, 200, 336))
    assert cost.macs == cost.parameters == 2 * 256 * 16


class Small(nn.Module):
    """Convolutions of 3 to 8 to 8 channels, the first frozen, and a block."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.block = NonLocal2d(8, norm_cfg=dict(type="BN"))

    def forward(self, x):
        return self.block(self.second(self.norm(self.first(x)).relu_()))


def test_the_memory_is_that_of_a_real_run():
    model, shape = Small().eval(), (1, 3, 9, 7)
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(),)}
    own |= {b.untyped_storage().data_ptr() for b in model.buffers()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        model(torch.rand(shape))
    assert complexity(model, shape).kept_bytes == sum(s.nbytes() for s in kept.values())


def test_the_products_of_plain_convolutions():
    expected = 9 * 7 * (9 * 3 * 8 + 9 * 8 * 8)
    model = Small()
    model.block = nn.Identity()
    assert complexity(model, (1, 3, 9, 7)).macs == expected


def test_the_box_heads_run_on_a_fixed_number_of_regions(in_mmdet, monkeypatch):
    config = Config.fromfile(TINY / "mask_rcnn_r18.py")
    model = MODELS.build(config.model)
    shape = (1, 3, 64, 96)
    one = complexity(model, shape, mode="tensor")
    monkeypatch.setattr("nlse_mm.analysis.complexity.REGIONS", 2000)
    two = complexity(model, shape, mode="tensor")
    layers = [m for m in model.roi_head.bbox_head.modules() if isinstance(m, nn.Linear)]
    # The masks, of the first 100, cost the same.
    assert two.macs - one.macs == 1000 * sum(m.weight.numel() for m in layers)
    # A region's 64 channels of 7 x 7 are what the first layer keeps, among others.
    assert two.kept_bytes - one.kept_bytes >= 1000 * 64 * 49 * 4
    assert not {"predict", "forward"} & vars(model.rpn_head).keys()


def test_the_model_is_left_as_it_was():
    model = Small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    complexity(model.train(), (1, 3, 9, 7))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert type(model.first.weight) is nn.Parameter


class Wants(nn.Module):
    """A model that wants what the count doesn't give."""

    WANTED = {
        "numbers": lambda x, _: x[: int(x.sum().item())],
        "a choice": lambda x, _: x if x.sum() > 0 else -x,
        "places": lambda x, _: x[x > 0],
        "samples": lambda x, data_samples: [s.img_shape for s in data_samples],
        "a clip": lambda x, _: torch.nn.functional.conv3d(x, torch.rand(1, 3, 1, 1, 1)),
        "nothing said": lambda x, _: 1 / 0,
    }

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x, data_samples=None):
        return self.WANTED[self.what](x, data_samples)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("numbers", "it needs the numbers in a tensor"),
        ("a choice", "it needs the numbers in a tensor"),
        ("places", "it needs the numbers in a tensor"),
        ("samples", "it needs data samples (sizes of images, texts, boxes) with the"),
        ("a clip", "its forward pass fails (RuntimeError: "),
        ("nothing said", "its forward pass fails (ZeroDivisionError: division by zero"),
    ],
)
def test_a_model_that_cannot_be_counted_is_refused_with_the_reason(what, why):
    with pytest.raises(ValueError, match=r"^Wants can't be counted on") as error:
        complexity(Wants(what), (1, 3, 4, 4))
    said = str(error.value)
    assert said.startswith(f"Wants can't be counted on an input of (1, 3, 4, 4): {why}")
    assert "\n" not in said


def test_costs_subtract():
    assert Complexity(5, 7, 9) - Complexity(1, 2, 3) == Complexity(4, 5, 6)
