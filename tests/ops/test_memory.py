"""Memory grows with the positions, and no map of weights is ever made.

Counted in bytes that operators allocate, so that no timing and no other process plays
a part.
"""

import pytest
import torch
from live import Live

from nlse_mm.ops.blocks import most_weights
from nlse_mm.plugins import NonLocal2d, NonLocal3d, SelfAttention2d
from nlse_mm.plugins.relative_encoding import ENCODINGS

pytestmark = pytest.mark.usefixtures("each_device")
MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


def measure(block, *size, channels=32, images=1):
    x = torch.rand(images, channels, *size, requires_grad=True)
    with Live() as live:
        block(x).sum().backward()
    return live


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sub_sample", [False, True])
def test_doubling_the_positions_at_most_doubles_the_memory(mode, sub_sample):
    block = NonLocal2d(32, mode=mode, sub_sample=sub_sample, zeros_init=False)
    small, large = measure(block, 80, 100), measure(block, 160, 100)
    assert large.peak <= 2.2 * small.peak


@pytest.mark.parametrize("mode", MODES)
def test_no_operator_returns_a_map(mode, each_device):
    block = NonLocal2d(32, mode=mode, zeros_init=False)
    share = 8 if each_device == "cpu" else 2  # a GPU's blocks are larger
    assert measure(block, 160, 100).peak < (160 * 100) ** 2 * 4 / share


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian"])
def test_many_small_images_make_no_more_weights_than_a_block_has(mode, each_device):
    most = 4 * most_weights(each_device)
    images = 4 * most // (4 * 576**2)
    live = measure(
        NonLocal2d(8, mode=mode, zeros_init=False), 24, 24, channels=8, images=images
    )
    assert live.largest <= most
    assert live.peak <= 2.5 * most  # weights and their gradients


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", ["space", "time"])
def test_no_axis_of_a_volume_makes_a_map(mode, axis):
    block = NonLocal3d(8, mode=mode, axis=axis, zeros_init=False)
    # Twice as many keys for each query: rows of a frame, or frames.
    sizes = dict(
        space=[(2, 60, 100), (2, 120, 100)], time=[(6000, 1, 2), (12000, 1, 2)]
    )
    small, large = (measure(block, *size, channels=8) for size in sizes[axis])
    assert large.peak <= 2.2 * small.peak
    assert large.largest < 2 * 12000**2 * 4 / 8


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("content", [False, True])
def test_self_attention_makes_no_map_either(encoding, content):
    layer = SelfAttention2d(32, 32, num_heads=2, encoding=encoding, content=content)
    small, large = measure(layer, 40, 100), measure(layer, 80, 100)
    assert large.peak <= 2.2 * small.peak
    assert large.largest < 2 * (80 * 100) ** 2 * 4 / 8


def test_the_measurement_sees_mmcvs_map():
    from mmcv.cnn import NonLocal2d as Stock

    count = 40 * 50
    live = measure(Stock(32, zeros_init=False), 40, 50)
    assert live.largest == count * count * 4


@pytest.mark.parametrize("mode", MODES[:3])  # MMAction2 has no config of the fourth
def test_the_block_of_mmactions_configs_takes_half_of_the_memory(mode, each_device):
    """Of res3 with 8 frames, as SlowOnly and TSM have: 6,272 positions."""
    if each_device == "cuda":
        pytest.skip("a block of weights is as large as this map there")
    from mmcv.cnn import NonLocal3d as Stock

    given = dict(mode=mode, sub_sample=True, norm_cfg=dict(type="BN3d"))
    size = (8, 28, 28)
    with torch.no_grad():
        ours = measure_forward(NonLocal3d(512, **given), *size)
        theirs = measure_forward(Stock(512, **given), *size)
    assert theirs.largest == 6272 * 1568 * 4
    assert ours.largest <= theirs.largest / 2
    assert ours.peak <= theirs.peak / 2


def measure_forward(block, *size):
    x = torch.rand(1, 512, *size)
    with Live() as live:
        block(x)
    return live
