"""The attention of a clip is the block's rows, each weight in its frame and cell."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nlse_mm.analysis import AttentionMeter, ImageGeometry, clip_attention
from nlse_mm.analysis.statistics import FIELDS, measure_clip, spread
from nlse_mm.errors import ConfigError
from nlse_mm.plugins import NonLocal3d

SIZE = (3, 4, 6)  # frames, height and width of the map
AXES = [("spacetime", False), ("spacetime", True), ("space", True), ("time", False)]
EACH_AXIS = pytest.mark.parametrize(("axis", "sub_sample"), AXES)
GEOMETRY = ImageGeometry((40, 60), (40, 60))  # a cell has 10 x 10 pixels


def random_block(axis, sub_sample, **kwargs):
    block = NonLocal3d(
        6, axis=axis, sub_sample=sub_sample, std=0.5, zeros_init=False, **kwargs
    )
    return block.double().eval()


def keys_of(axis, side, query):
    """Frames, rows and columns of the cells of a query's keys, in their order."""
    frames, height, width = SIZE
    cells = itertools.product(range(height // side), range(width // side))
    if axis == "time":
        return [(t, *query[1:]) for t in range(frames)]
    if axis == "space":
        return [(query[0], *cell) for cell in cells]
    return [(t, *cell) for t, cell in itertools.product(range(frames), list(cells))]


@EACH_AXIS
@pytest.mark.parametrize("mode", ["embedded_gaussian", "concatenation"])
def test_each_weight_is_in_the_frame_and_cell_of_its_key(mode, axis, sub_sample):
    block = random_block(axis, sub_sample, mode=mode)
    x = torch.randn(1, 6, *SIZE, dtype=torch.float64)
    query = (2, 1, 4)  # of pixel 45,12 in the last frame
    (found,) = clip_attention("a", block, x, [(45, 12, -1)], GEOMETRY, 3)
    assert found.at == 2
    row = block.attention(x)[0, 0, (2 * 4 + 1) * 6 + 4]
    expected = {
        cell: weight.item()
        for cell, weight in zip(
            keys_of(axis, 1 + sub_sample, query), row.detach(), strict=True
        )
    }
    for cell in itertools.product(*map(range, found.weights.shape)):
        weight = found.weights[cell].item()
        if cell in expected:
            assert weight == pytest.approx(expected[cell], rel=1e-5)
        else:
            assert math.isnan(weight)


@pytest.mark.parametrize(
    ("axis", "strongest"),
    [
        ("spacetime", {(0, 15, 35), (2, 45, 15), (2, 15, 25)}),
        ("space", {(2, 45, 15), (2, 15, 25)}),
        ("time", {(2, 45, 15)}),
    ],
)
def test_the_strongest_are_the_bright_cells_that_are_keys(axis, strongest):
    x = torch.zeros(1, 4, *SIZE)
    for cell in ((0, 3, 1), (2, 1, 4), (2, 2, 1)):
        x[0, :, cell[0], cell[1], cell[2]] = 3
    block = NonLocal3d(4, mode="gaussian", axis=axis)
    (found,) = clip_attention("a", block, x, [(45, 15, 2)], GEOMETRY, 3)
    largest = found.strongest(len(strongest))
    assert {(frame, x, y) for frame, x, y, _ in largest} == strongest
    assert sum(weight for *_, weight in largest) > 0.99
    # Cells without a key are never among them.
    number = dict(spacetime=72, space=24, time=3)[axis]
    assert len(found.strongest(1000)) == number


def test_frames_of_the_clip_find_theirs_in_a_shorter_map():
    block = random_block("time", False)
    x = torch.randn(1, 6, *SIZE, dtype=torch.float64)
    points = [(5, 5, frame) for frame in (0, 3, 5, 7, -1, -12)]
    found = clip_attention("a", block, x, points, GEOMETRY, 12)
    assert [f.at for f in found] == [0, 0, 1, 1, 2, 0]
    for frame in (12, -13):
        with pytest.raises(ConfigError, match="which has frames 0 to 11; -1 is the"):
            clip_attention("a", block, x, [(5, 5, frame)], GEOMETRY, 12)


def test_keys_that_are_no_grid_are_refused():
    class Odd(nn.Module):
        def attention(self, x, positions=None):
            return torch.zeros(1, 1, len(positions), 7)

    with pytest.raises(ConfigError, match=r"its 7 keys are no grid .* 3 x 4 x 6 posi"):
        clip_attention("a", Odd(), torch.zeros(1, 1, *SIZE), [(5, 5, 0)], GEOMETRY, 3)


@pytest.mark.parametrize("flip", [False, True])
def test_pixels_of_a_cropped_frame_find_their_cell_and_others_are_refused(flip):
    # Of 40 x 80 pixels the 20 x 20 whose corner is 30,10; on an input of 40 x 40.
    shares = (30 / 80, 10 / 40, 20 / 80, 20 / 40)
    metainfo = dict(
        original_shape=(40, 80),
        crop_quadruple=shares,
        flip=flip,
        flip_direction="horizontal",
    )
    geometry = ImageGeometry.of_frames(metainfo, (40, 40))
    column = 3 if flip else 0
    assert geometry.cell((31, 11), (4, 4)) == (0, column)
    assert geometry.cell((49, 29), (4, 4)) == (3, 3 - column)
    assert geometry.to_image(*geometry.to_network(33.5, 12.5)) == pytest.approx(
        (33.5, 12.5)
    )
    for point in ((29, 15), (50, 15), (35, 9), (35, 30)):
        with pytest.raises(ConfigError, match="x from 30 to 49 and y from 10 to 29"):
            geometry.cell(point, (4, 4))


def brute_force(block, axis, side, x, at):
    """Mean entropy, pixels and frames of the rows, and of uniform ones, with loops."""
    _, height, width = SIZE
    sums = torch.zeros(5, dtype=torch.float64)
    rows = block.attention(x)[0, 0].detach()[at]
    for i, row in zip(at.tolist(), rows, strict=True):
        query = i // (height * width), i // width % height, i % width
        keys = keys_of(axis, side, query)
        for (t, r, c), weight in zip(keys, row.tolist(), strict=True):
            down = (r + 0.5) * side - (query[1] + 0.5)
            across = (c + 0.5) * side - (query[2] + 0.5)
            pixels = 0.0 if axis == "time" else math.hypot(16 * down, 12 * across)
            frames = 2 * abs(t - query[0])
            p, each = weight, 1 / len(keys)
            entropy = -p * math.log(p) / math.log(len(keys))
            sums += torch.tensor(
                [entropy, p * pixels, each * pixels, p * frames, each * frames],
                dtype=torch.float64,
            )
    return sums / len(at)


@EACH_AXIS
def test_the_statistics_of_a_clip_equal_a_brute_force_computation(axis, sub_sample):
    block = random_block(axis, sub_sample)
    x = torch.randn(1, 6, *SIZE, dtype=torch.float64)
    at = torch.tensor([0, 13, 29, 46, 71])
    fields, frames = measure_clip(block, x, block(x), at, (2.0, 16.0, 12.0))
    found = torch.cat([fields[3:], frames])
    expected = brute_force(block, axis, 1 + sub_sample, x, at)
    torch.testing.assert_close(found, expected)
    unknown = measure_clip(block, x, block(x), at, None)
    torch.testing.assert_close(unknown[0][:4], fields[:4])
    assert unknown[1].isnan().all()


class Recognizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.data_preprocessor = nn.Identity()
        self.block = NonLocal3d(3, std=0.5, zeros_init=False)

    def forward(self, data):
        (views,) = self.data_preprocessor(data)["inputs"]  # (M, C, T, H, W)
        return self.block(views[:, :, ::2, ::4, ::4])


def test_the_meter_measures_the_first_view_of_a_clip():
    model = Recognizer()
    meter = AttentionMeter(model, queries=20)
    inputs = torch.randn(1, 2, 3, 6, 16, 24)
    sample = SimpleNamespace(metainfo=dict(img_shape=(16, 24)))
    with meter.measuring():
        model(dict(inputs=inputs, data_samples=[sample]))
    x = inputs[0, :1, :, ::2, ::4, ::4]
    row, column = spread(20, (3 * 4, 6))
    at = row * 6 + column
    fields, frames = measure_clip(model.block, x, model.block(x), at, (2.0, 4.0, 4.0))
    torch.testing.assert_close(meter.moments["block"].mean, fields)
    torch.testing.assert_close(meter.frames["block"].mean, frames)
    assert len(fields) == len(FIELDS)
    assert (at // 24).unique().tolist() == [0, 1, 2]  # queries are in every frame
