"""The statistics equal a brute-force computation, pair by pair and pixel by pixel."""

import itertools
import math

import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from nlse_mm.analysis import AttentionMeter, RunningMoments
from nlse_mm.analysis.statistics import FIELDS, mean_cosine_distance, measure, spread
from nlse_mm.plugins import NonLocal1d, NonLocal2d, SelfAttention2d

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


def pairs(vectors):
    distances = [
        (1 - torch.dot(a, b) / (a.norm() * b.norm())) / 2
        for a, b in itertools.combinations([v for v in vectors if v.any()], 2)
    ]
    return torch.stack(distances).mean().item()


def brute_force(block, x, at, stride):
    """``FIELDS`` with loops, from the block's forward pass and all of its rows."""
    channels, width = x.shape[1], x.shape[3]
    rows = block.attention(x)[0, 0][at]
    side = 2 if block.sub_sample else 1
    entropies, distances, uniforms = [], [], []
    for i, row in zip(at.tolist(), rows, strict=True):
        total = row.abs().sum().item()
        if not total:
            continue
        entropy = distance = uniform = 0.0
        for j, weight in enumerate(row.abs().tolist()):
            p = weight / total
            entropy -= p * math.log(p) if p else 0
            r, c = divmod(j, width // side)
            down = ((r + 0.5) * side - (i // width + 0.5)) * stride[0]
            across = ((c + 0.5) * side - (i % width + 0.5)) * stride[1]
            distance += p * math.hypot(down, across)
            uniform += math.hypot(down, across) / len(row)
        entropies.append(entropy / math.log(len(row)))
        distances.append(distance)
        uniforms.append(uniform)
    added = (block(x) - x)[0].view(channels, -1).T[at]
    means = [sum(v) / len(v) for v in (entropies, distances, uniforms)]
    return [pairs(x[0].view(channels, -1).T[at]), pairs(added), pairs(rows), *means]


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_they_equal_a_brute_force_computation(mode, sub_sample):
    block = NonLocal2d(6, mode=mode, sub_sample=sub_sample, zeros_init=False, std=0.5)
    block.double().eval()
    x = torch.randn(1, 6, 5, 8, dtype=torch.float64)
    at = torch.tensor([0, 7, 13, 22, 39])
    with torch.no_grad():
        found = measure(block, x, block(x), at, (16.0, 12.0))
        expected = brute_force(block, x, at, (16.0, 12.0))
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_rows_that_do_not_depend_on_the_query_have_distance_zero_and_full_entropy():
    block = NonLocal2d(4, std=0.5, zeros_init=False)
    nn.init.zeros_(block.theta.conv.weight)
    nn.init.zeros_(block.theta.conv.bias)
    x = torch.randn(1, 4, 4, 6)
    found = measure(block, x, block(x), torch.arange(24), (8.0, 8.0))
    values = dict(zip(FIELDS, found.tolist(), strict=True))
    assert values["rows"] == pytest.approx(0, abs=1e-12)
    assert values["output"] == pytest.approx(0, abs=1e-6)
    assert values["input"] > 0.1
    assert values["entropy"] == pytest.approx(1)
    assert values["distance"] == pytest.approx(values["uniform"])


def test_a_block_that_adds_nothing_has_no_distance_of_outputs():
    block = NonLocal2d(4)
    x = torch.randn(1, 4, 4, 6)
    found = measure(block, x, block(x), torch.arange(24), None)
    undefined = [f for f, v in zip(FIELDS, found, strict=True) if v.isnan()]
    assert undefined == ["output", "distance", "uniform"]


def test_rows_that_a_relu_closed_are_left_out():
    block = NonLocal2d(4, mode="concatenation", std=0.5)
    x = torch.randn(1, 4, 4, 6)
    at = torch.arange(24)
    closed = ~block.attention(x)[0, 0].any(1)
    assert 0 < closed.sum() < 20
    found = measure(block, x, block(x), at, (8.0, 8.0))
    rest = measure(block, x, block(x), at[~closed], (8.0, 8.0))
    assert not found[2:].isnan().any()
    torch.testing.assert_close(found[2:], rest[2:])


def test_of_several_heads_the_mean_is_measured():
    layer = SelfAttention2d(4, num_heads=3)
    x, at = torch.randn(1, 4, 5, 8), torch.tensor([0, 7, 22, 39])
    found = measure(layer, x, layer(x), at, (16.0, 12.0))
    heads = [OneHead(layer, head) for head in range(3)]
    each = torch.stack([measure(h, x, h(x), at, (16.0, 12.0)) for h in heads])
    torch.testing.assert_close(found, each.mean(0), equal_nan=True)
    assert each[:, 2:5].std(0).min() > 0


class OneHead(nn.Module):
    def __init__(self, layer, head):
        super().__init__()
        self.layer, self.head = layer, head

    def forward(self, x):
        return self.layer(x)

    def attention(self, x, positions=None):
        return self.layer.attention(x, positions)[:, self.head, None]


def test_opposite_vectors_are_at_distance_one():
    vectors = torch.tensor([[1.0, 2.0], [-3.0, -6.0]])
    assert mean_cosine_distance(vectors).item() == pytest.approx(1)


@pytest.mark.parametrize("size", [(7, 31), (64, 64), (3, 200)])
def test_queries_are_spread_over_the_whole_map(size):
    row, column = spread(64, size)
    assert len({*zip(row.tolist(), column.tolist(), strict=True)}) == len(row) > 40
    for at, side in ((row, size[0]), (column, size[1])):
        assert 0 <= at.min() <= side / 8
        assert side * 7 / 8 - 1 <= at.max() < side
        assert abs(at.double().mean() / (side - 1) - 0.5) < 0.05


def test_of_a_small_map_every_position_is_a_query():
    row, column = spread(64, (3, 5))
    assert (row * 5 + column).tolist() == list(range(15))


class Preprocessor(nn.Module):
    def forward(self, data):
        return data


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.data_preprocessor = Preprocessor()
        self.block = NonLocal2d(3, std=0.5, zeros_init=False)

    def forward(self, inputs, img_shape):
        sample = BaseDataElement(metainfo=dict(img_shape=img_shape))
        data = self.data_preprocessor(dict(inputs=inputs, data_samples=[sample]))
        return self.block(data["inputs"][:, :, ::4, ::4])


def test_the_queries_are_inside_the_image_and_averages_over_images():
    model = Model()
    meter = AttentionMeter(model, queries=1000)
    images = [torch.randn(2, 3, 16, 32) for _ in range(3)]
    expected = []
    for x in images:
        with meter.measuring():
            model(x, (9, 32))  # rows 0 to 2 of 4 hold the image, the rest is padding
        small = x[:1, :, ::4, ::4]
        at = torch.arange(3 * 8)
        expected.append(measure(model.block, small, model.block(small), at, (4.0, 4.0)))
    model(images[0], (16, 32))  # outside of measuring(): not counted
    moments = meter.moments["block"]
    assert moments.count.tolist() == [3] * len(FIELDS)
    torch.testing.assert_close(moments.mean, torch.stack(expected).mean(0))
    torch.testing.assert_close(moments.std, torch.stack(expected).std(0))


def test_what_is_no_map_or_changes_its_shape_is_not_measured():
    class Others(Model):
        def forward(self, inputs):
            data = self.data_preprocessor(dict(inputs=inputs))
            self.sequence(data["inputs"].flatten(2))
            self.strided(data["inputs"])

    model = Others()
    model.sequence, model.strided = NonLocal1d(3), SelfAttention2d(3, 3, stride=2)
    meter = AttentionMeter(model, queries=4)
    with meter.measuring():
        model(torch.randn(1, 3, 16, 32))
    assert not any(moments.count.any() for moments in meter.moments.values())


def test_moments_equal_those_of_all_values_and_leave_out_nan():
    values = torch.randn(20, 3, dtype=torch.float64) * 1e-3 + 1e3
    values[4:, 1] = torch.nan
    values[:, 2] = torch.nan
    moments = RunningMoments(3)
    for value in values:
        moments.update(value)
    assert moments.count.tolist() == [20, 4, 0]
    for column, kept in ((0, values[:, 0]), (1, values[:4, 1])):
        assert moments.mean[column].item() == pytest.approx(kept.mean().item())
        std = kept.std().item()
        assert moments.std[column].item() == pytest.approx(std, rel=1e-6)
    assert moments.mean[2].isnan()
    assert moments.std[2].isnan()
