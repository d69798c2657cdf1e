"""The far-cue video models: no cell sees both squares, unless a block brings them."""

from pathlib import Path

import make_far_cue_video
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

pytest.importorskip("mmaction")

TINY = Path(__file__).parents[2] / "configs" / "tiny"
LOCAL = ("far_cue_c2d_r18", "far_cue_i3d_r18")
BLOCKS = sorted(p.stem for p in TINY.glob("far_cue_c2d_r18_*.py"))
MODES = ("gaussian", "dot-product", "concatenation")
COLOURS = tuple(make_far_cue_video.COLOURS)
FRAMES, MARKED = make_far_cue_video.FRAMES, make_far_cue_video.MARKED
REACH = {"far_cue_c2d_r18": 0, "far_cue_i3d_r18": 6}  # frames to each side


@pytest.fixture(autouse=True)
def _in_mmaction():
    import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)

    with DefaultScope.overwrite_default_scope("mmaction"):
        yield


@pytest.fixture
def load(read_config):
    return lambda name: read_config(TINY / f"{name}.py")


def maps(config, seed=0):
    """The last map (C, T, H, W) for each pair of colours, of clips that differ in these
    alone. The zero-initialised last layers of the blocks are given weights first."""
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    model.init_weights()
    for parameter in model.backbone.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    model.eval()
    model.double()  # a Gaussian's weights on far cells are small at the start
    found = {}
    for pair in make_far_cue_video.PAIRS:
        clip = make_far_cue_video.draw(np.random.default_rng(3), *pair)
        clip = torch.from_numpy(clip[..., ::-1].copy()).permute(3, 0, 1, 2)
        packed = dict(inputs=[clip[None]], data_samples=None)
        inputs = model.data_preprocessor(packed)["inputs"][0].double()
        with torch.no_grad():
            found[pair] = model.backbone(inputs)[0]
    return found


def frames_that_differ(one, other):
    return {int(t) for t in (one != other).any(0).any(-1).any(-1).nonzero()}


@pytest.mark.parametrize("name", LOCAL)
def test_no_cell_of_a_local_network_sees_both_squares(name, load):
    found, reach = maps(load(name)), REACH[name]
    for colour in COLOURS:
        first = frames_that_differ(found["red", colour], found["blue", colour])
        last = frames_that_differ(found[colour, "red"], found[colour, "blue"])
        assert first == set(range(MARKED + reach))
        assert last == set(range(FRAMES - MARKED - reach, FRAMES))
        assert not first & last


@pytest.mark.parametrize("name", LOCAL)
def test_the_mean_of_a_local_networks_map_is_a_sum_of_two_colours(name, load):
    # Whatever a linear layer makes of it, agreeing pairs have the sum of the others.
    mean = {pair: found.mean((1, 2, 3)) for pair, found in maps(load(name)).items()}
    agree = mean["red", "red"] + mean["blue", "blue"]
    differ = mean["red", "blue"] + mean["blue", "red"]
    torch.testing.assert_close(agree, differ, rtol=1e-9, atol=1e-12)
    assert (mean["red", "red"] - mean["blue", "blue"]).abs().max() > 1e-3


@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_brings_the_first_square_to_the_last_frames(name, load):
    # Several seeds: the ReLU of concatenation may be shut everywhere by chance.
    for seed in range(5):
        found = maps(load(name), seed)
        change = found["red", "red"] - found["blue", "red"]
        if change[:, -1].abs().max() > 1e-9:
            return
    pytest.fail("the last frame is the same whatever the first square's colour")


def test_the_backbone_is_the_only_difference(load):
    baseline = load(LOCAL[0]).to_dict()
    stock = baseline["model"].pop("backbone")
    for name in (LOCAL[1], *BLOCKS):
        config = load(name).to_dict()
        backbone = config["model"].pop("backbone")
        assert config == baseline
        others = {"plugins"} if name in BLOCKS else {"inflate", "conv1_kernel"}
        assert {k for k in backbone if backbone[k] != stock.get(k)} == others


def test_there_is_a_config_for_each_pairwise_function(load):
    assert [name.partition("_nl")[2][1:] for name in BLOCKS] == ["", *sorted(MODES)]
    for name in BLOCKS:
        (entry,) = load(name).model.backbone.plugins
        wanted = name.partition("_nl")[2][1:].replace("-", "_") or "embedded_gaussian"
        assert entry.cfg.type == "nlse_mm.NonLocal3d"
        assert entry.cfg.get("mode", "embedded_gaussian") == wanted


def test_the_schedule_is_756_steps_of_two_times_eight_clips(load):
    config = load(LOCAL[0])
    of_a_process = -(-make_far_cue_video.CLIPS[0] // 2)
    steps = -(-of_a_process // config.train_dataloader.batch_size)
    assert steps * config.train_cfg.max_epochs == 756
    assert config.param_scheduler[-1].end == 756
