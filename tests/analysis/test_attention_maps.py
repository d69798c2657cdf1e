"""Points of an image find their cell, and attention maps are the block's own rows."""

import pytest
import torch
from torch import nn

from nlse_mm.analysis import (
    ImageGeometry,
    attention_blocks,
    attention_maps,
    excitation_layers,
)
from nlse_mm.analysis.attention import key_grid
from nlse_mm.plugins import NonLocal2d, SelfAttention2d


def bright_at(cell, channels=8, size=(6, 10)):
    """A map that is zero but for one cell."""
    x = torch.zeros(1, channels, *size)
    x[0, :, cell[0], cell[1]] = 3.0
    return x


def test_a_pixel_finds_its_cell_on_a_map_that_is_not_square():
    # 60 x 100 pixels, twice as large on the input, padded there to 128 x 224.
    geometry = ImageGeometry((60, 100), (128, 224), (2.0, 2.0))
    assert geometry.cell((0, 0), (8, 14)) == (0, 0)  # a cell is 8 x 8 pixels
    assert geometry.cell((7, 8), (8, 14)) == (1, 0)
    assert geometry.cell((8, 7), (8, 14)) == (0, 1)
    assert geometry.cell((99, 59), (8, 14)) == (7, 12)  # column 13 is padding


@pytest.mark.parametrize(
    ("direction", "cell"),
    [("horizontal", (1, 9)), ("vertical", (5, 1)), ("diagonal", (5, 9))],
)
def test_a_pixel_of_a_flipped_image_finds_its_cell(direction, cell):
    # 56 x 88 pixels on an input of 64 x 96: 8 pixels of padding each way.
    metainfo = dict(
        ori_shape=(56, 88), scale_factor=(1.0, 1.0), flip=True, flip_direction=direction
    )
    geometry = ImageGeometry.from_metainfo(metainfo, (64, 96))
    assert geometry.cell((12, 9), (8, 12)) == cell
    for ends in ((12.5, 9.5), (0.0, 56.0)):
        back = geometry.to_image(*geometry.to_network(*ends))
        assert back == pytest.approx(ends)


def test_height_and_width_may_be_scaled_differently():
    metainfo = dict(ori_shape=(100, 50), scale_factor=(4.0, 0.5), flip=False)
    geometry = ImageGeometry.from_metainfo(metainfo, (50, 200))
    assert geometry.cell((30, 90), (5, 20)) == (4, 12)


@pytest.mark.parametrize("point", [(-1, 0), (0, -1), (100, 0), (0, 60)])
def test_a_point_outside_of_the_image_is_refused(point):
    with pytest.raises(ValueError, match=r"x from 0 to 99 and y from 0 to 59"):
        ImageGeometry((60, 100), (60, 100)).cell(point, (6, 10))


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", ["embedded_gaussian", "dot_product", "concatenation"])
def test_the_maps_are_the_blocks_rows(mode, sub_sample):
    block = NonLocal2d(8, mode=mode, sub_sample=sub_sample, std=0.5)
    x = torch.randn(1, 8, 7, 10)
    geometry = ImageGeometry((70, 100), (70, 100))
    found = attention_maps("a", block, x, (7, 10), [(95, 5), (31, 69)], geometry)
    rows = block.attention(x)[0, 0].unflatten(1, (3, 5) if sub_sample else (7, 10))
    torch.testing.assert_close(found[0].weights, rows[0 * 10 + 9])
    torch.testing.assert_close(found[1].weights, rows[6 * 10 + 3])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("sub_sample", [False, True])
def test_the_strongest_place_is_where_the_image_is_bright(sub_sample, mirrored):
    block = NonLocal2d(8, mode="gaussian", sub_sample=sub_sample)
    # The input is 48 x 80, half a image of 96 x 160; its cells are 8 x 8.
    geometry = ImageGeometry((96, 160), (48, 80), (0.5, 0.5), (mirrored, False))
    column = 10 - 1 - 7 if mirrored else 7
    at, y = column * 16 + 8, 2 * 16 + 8  # the centre of row 2, column 7 of the map
    (found,) = attention_maps(
        "a", block, bright_at((2, 7)), (6, 10), [(at, y)], geometry
    )
    ((to_x, to_y, weight),) = found.strongest(1)
    assert weight > 0.99
    side = 16 if sub_sample else 8  # of half a cell of keys, in the image
    assert abs(to_x - at) < side
    assert abs(to_y - y) < side
    if not sub_sample:
        assert (to_x, to_y) == pytest.approx((at, y))


def test_cells_that_sub_sampling_drops_are_not_covered():
    block = NonLocal2d(8, sub_sample=True)
    geometry = ImageGeometry((70, 110), (70, 110))
    (found,) = attention_maps(
        "a", block, torch.randn(1, 8, 7, 11), (7, 11), [(0, 0)], geometry
    )
    assert found.corner == (0, 0)
    assert found.opposite == pytest.approx((100, 60))


def test_only_the_asked_rows_are_computed():
    """All rows of a map of 400 x 600 positions would take 3.6 TB."""
    block = NonLocal2d(2, sub_sample=True)
    geometry = ImageGeometry((400, 600), (400, 600))
    (found,) = attention_maps(
        "a", block, torch.randn(1, 2, 400, 600), (400, 600), [(5, 6)], geometry
    )
    assert found.weights.shape == (200, 300)


def test_a_block_is_found_by_the_end_of_its_path_only():
    model = nn.ModuleDict(dict(one=NonLocal2d(2), other_one=NonLocal2d(2)))
    assert list(attention_blocks(model)) == ["one", "other_one"]
    assert list(attention_blocks(model, ["one"])) == ["one"]
    with pytest.raises(ValueError, match="named 'three'; there are one, other_one"):
        attention_blocks(model, ["three"])
    with pytest.raises(ValueError, match=r"Linear has no nlse_mm\.NonLocal2d block"):
        attention_blocks(nn.Linear(1, 1))


class Layer(nn.Module):
    """What is called ``attention``, or has a method of that name, without positions."""

    def __init__(self):
        super().__init__()
        self.attention = NonLocal2d(2)

    def excitation(self, x, y):
        raise AssertionError


class Method(nn.Module):
    def attention(self, query, key):
        raise AssertionError


def test_other_things_of_the_methods_name_are_no_blocks():
    model = nn.ModuleDict(dict(one=Layer(), two=Method()))
    assert list(attention_blocks(model)) == ["one.attention"]
    with pytest.raises(ValueError, match=r"ModuleDict has no nlse_mm\.SELayer"):
        excitation_layers(model)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_map_of_several_heads_is_their_mean_at_the_outputs_position(stride):
    layer = SelfAttention2d(4, 4, num_heads=3, stride=stride)
    x = torch.randn(1, 4, 6, 8)
    size = tuple(layer(x).shape[2:])
    geometry = ImageGeometry((60, 80), (60, 80))
    (found,) = attention_maps("a", layer, x, size, [(45, 25)], geometry)
    at = 2 * 8 + 4 if stride == 1 else 1 * 4 + 2
    rows = layer.attention(x)[0, :, at].mean(0)
    torch.testing.assert_close(found.weights, rows.unflatten(0, (6, 8)))


@pytest.mark.parametrize(
    ("keys", "size", "grid"),
    [
        (7 * 10, (7, 10), (7, 10, 1)),
        (3 * 5, (7, 10), (3, 5, 2)),  # the last row drops out
        (4 * 5, (7, 10), (4, 5, 2)),  # the last row is pooled with padding
        (2 * 3, (7, 10), (2, 3, 3)),
        (1, (1, 1), (1, 1, 1)),
        (110, (20, 30), None),
    ],
)
def test_the_keys_grid_follows_from_their_number(keys, size, grid):
    assert key_grid(keys, size) == grid


class Pooled(nn.Module):
    """Every query weighs the same three keys."""

    def attention(self, x, positions=None):
        return torch.ones(len(x), 1, len(positions), 3) / 3


def test_keys_that_are_no_map_are_refused():
    geometry = ImageGeometry((60, 80), (60, 80))
    with pytest.raises(ValueError, match=r"its 3 keys are no grid of .* 6 x 8 pos"):
        attention_maps(
            "a", Pooled(), torch.rand(1, 4, 6, 8), (6, 8), [(0, 0)], geometry
        )
