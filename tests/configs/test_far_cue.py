"""The far-cue models: the backbone can't see the mark, a block can."""

from pathlib import Path

import make_far_cue
import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

ROOT = Path(__file__).parents[2]
SMALL = sorted(p.stem for p in (ROOT / "configs/tiny").glob("far_cue_faster*.py"))
LARGE = sorted(p.stem for p in (ROOT / "configs/tiny").glob("far_cue_large*.py"))
BASELINES = ("far_cue_faster_rcnn_r18", "far_cue_large_faster_rcnn_r18")

pytestmark = pytest.mark.usefixtures("in_mmdet")


def load(name):
    return Config.fromfile(ROOT / "configs/tiny" / f"{name}.py")


def scores(name, cue, seed=0):
    """Class scores at the squares of two images that differ in the mark alone.

    The zero-initialised last layers of the blocks are given weights first: at the start
    no block does anything.
    """
    torch.manual_seed(seed)
    model = MODELS.build(load(name).model)
    model.init_weights()
    for key, parameter in model.backbone.named_parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
        if "se_layer.conv2" in key:
            parameter.data *= 20  # a gate that is not 0.5 everywhere
    model.eval().double()  # a Gaussian's weights on far cells are small at the start
    images, boxes = [], None
    for colour in make_far_cue.COLOURS:
        image, boxes = make_far_cue.draw(np.random.default_rng(3), colour, cue)
        half = mmcv.imrescale(image, (128, 64))  # as the config's pipeline
        images.append(torch.from_numpy(half).permute(2, 0, 1))
    x, y, w, h = torch.tensor(boxes, dtype=torch.float).T / 2
    # As large as a box may be that still is assigned to its square (IoU 0.5).
    grow = (2**0.5 - 1) / 2
    rois = torch.stack([x - grow * w, y - grow * h, x + w + grow * w, y + h + grow * h])
    rois = torch.cat([rois.new_zeros(1, len(boxes)), rois]).T.contiguous().double()
    inputs = model.data_preprocessor(dict(inputs=images))["inputs"].double()
    with torch.no_grad():
        # One by one: a kernel for a batch may round otherwise.
        return [
            model.roi_head._bbox_forward(model.extract_feat(one[None]), rois)[
                "cls_score"
            ]
            for one in inputs
        ]


def reach(backbone):
    """The pixels that a cell of the last map sees to each side of its own centre."""
    size = step = 1
    layers = [backbone.conv1, backbone.maxpool]
    for stage in backbone.res_layers:
        for block in getattr(backbone, stage):
            layers += [block.conv1, block.conv2]
    for layer in layers:
        kernel, stride = (
            v[0] if isinstance(v, tuple) else v
            for v in (layer.kernel_size, layer.stride)
        )
        size += (kernel - 1) * step
        step *= stride
    return (size - 1) // 2, step


def test_the_trunk_sees_49_pixels_to_each_side_at_stride_8():
    assert reach(MODELS.build(load(BASELINES[0]).model).backbone) == (49, 8)


@pytest.mark.parametrize(
    ("name", "cue"), list(zip(BASELINES, make_far_cue.CUES, strict=True))
)
def test_the_baseline_scores_squares_the_same_whatever_the_mark(name, cue):
    red, blue = scores(name, cue)
    assert torch.equal(red, blue)


@pytest.mark.parametrize("name", [n for n in SMALL + LARGE if n not in BASELINES])
def test_each_block_brings_the_mark_to_the_squares(name):
    cue = "large" if name in LARGE else "small"
    # Several seeds: the ReLU of concatenation may be shut everywhere by chance.
    assert any(
        (red - blue).abs().max() > 1e-9
        for red, blue in (scores(name, cue, seed) for seed in range(5))
    )


@pytest.mark.parametrize("names", [SMALL, LARGE], ids=["small", "large"])
def test_the_backbone_is_the_only_difference(names):
    assert names[0] in BASELINES
    baseline = load(names[0]).to_dict()
    stock = baseline["model"].pop("backbone")
    for name in names[1:]:
        config = load(name).to_dict()
        backbone = config["model"].pop("backbone")
        assert config == baseline
        assert {k: backbone[k] for k in stock if k != "type"} == {
            k: v for k, v in stock.items() if k != "type"
        }


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_its_name_says_which_blocks_it_has(name):
    backbone = load(name).model.backbone
    words = name.split("_r18")[1].split("_")[1:]
    lines = [line.cfg for line in backbone.get("plugins", [])]
    kinds = dict(nl="nlse_mm.NonLocal2d", gc="ContextBlock")
    assert [c.type for c in lines] == [kinds[w] for w in words if w in kinds]
    assert (backbone.type == "nlse_mm.SEResNet") == ("se" in words)
    modes = {"gaussian", "dot-product", "concatenation"} & set(words)
    if "nl" in words:
        wanted = modes.pop().replace("-", "_") if modes else "embedded_gaussian"
        assert lines[0].get("mode", "embedded_gaussian") == wanted
        assert ("norm_cfg" not in lines[0]) == ("no-bn" in words)


def test_the_schedule_is_375_steps_of_eight_images():
    config = load(BASELINES[0])
    of_an_epoch = make_far_cue.IMAGES[0] // config.train_dataloader.batch_size
    steps = of_an_epoch * config.train_cfg.max_epochs
    assert steps == 375
