"""The Kinetics-400 configs: MMAction2's recipe, the paper's sizes, a step each."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

pytest.importorskip("mmaction")

import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(path.stem for path in CONFIGS.glob("*_kinetics400.py"))
I3D = "i3d_r50_kinetics400"  # MMAction2's, as it is
BASELINES = {name for name in LEAVES if "_nl" not in name}


@pytest.fixture
def load(read_config):
    return lambda name: read_config(CONFIGS / f"{name}.py")


def build(config):
    config.model.backbone.pretrained = None  # weights to download
    with DefaultScope.overwrite_default_scope("mmaction"):
        return MODELS.build(config.model)


@pytest.mark.parametrize("name", LEAVES)
def test_the_recipe_is_mmactions_and_only_the_backbone_differs(name, load):
    ours, theirs = load(name).to_dict(), load(I3D).to_dict()
    backbone = ours["model"].pop("backbone")
    assert theirs["model"].pop("backbone")["type"] == "ResNet3d"
    assert ours == theirs
    assert (backbone["type"] == "ResNet3d") == (name in BASELINES)


@pytest.mark.parametrize("name", LEAVES)
def test_a_training_step_moves_every_block_from_the_identity(name, load):
    from mmaction.structures import ActionDataSample

    config = load(name)
    config.model.backbone.base_channels = 4
    config.model.cls_head.in_channels = 128
    model = build(config)
    model.backbone.init_weights()
    blocks = [m for n, m in model.named_modules() if n.endswith("non_local_block")]
    assert not any(block.conv_out.bn.weight.any() for block in blocks)
    # A clip of pixels, with 2 x 4 x 4 positions in res4.
    clip = torch.randint(256, (1, 3, 16, 64, 64), dtype=torch.uint8)
    data = dict(inputs=[clip], data_samples=[ActionDataSample().set_gt_label(3)])
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    assert model.train().train_step(data, optimizer)["loss"].isfinite()
    assert all(block.conv_out.bn.weight.all() for block in blocks)
    assert bool(blocks) == (name not in BASELINES)


def parameters(config):
    """Millions of them, the classifier's included."""
    with torch.device("meta"):
        return sum(p.numel() for p in build(config).parameters()) / 1e6


def test_parameters_are_those_of_the_papers_table_2e(load):
    """C2D R101 has 43.2M, with five blocks 1.2 times, as I3D 1.2 and 1.5 times that."""
    c2d = parameters(load("c2d_r101_kinetics400"))
    assert c2d == pytest.approx(43.2, rel=0.01)
    assert round(parameters(load("c2d_r101_nl5_kinetics400")) / c2d, 1) == 1.2
    # Section 5 of the paper: R50 with five blocks has about 70% of them.
    assert round(parameters(load("c2d_r50_nl5_kinetics400")) / c2d, 1) == 0.7
    for name, ratio in ((I3D, 1.2), ("i3d_r50_3x3x3_kinetics400", 1.5)):
        i3d = load(name)
        backbone = i3d.model.backbone
        backbone.depth = 101
        res2, res3, _, res5 = backbone.inflate
        backbone.inflate = (res2, res3, (1, 0) * 11 + (1,), res5)
        assert round(parameters(i3d) / c2d, 1) == ratio
