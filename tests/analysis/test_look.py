"""Points of a picture find their cell, and what is drawn is the block's own rows."""

import pytest
import torch
from torch import nn

from nlse_mm.analysis import Placement, look, non_local_blocks
from nlse_mm.plugins import NonLocal2d


def bright_at(cell, channels=8, size=(6, 10)):
    """A map that is zero but for one cell."""
    x = torch.zeros(1, channels, *size)
    x[0, :, cell[0], cell[1]] = 3.0
    return x


def test_a_pixel_finds_its_cell_on_a_map_that_is_not_square():
    # 60 x 100 pixels, twice as large on the input, padded there to 128 x 224.
    placement = Placement((60, 100), (128, 224), (2.0, 2.0))
    assert placement.cell((0, 0), (8, 14)) == (0, 0)  # a cell is 8 x 8 pixels
    assert placement.cell((7, 8), (8, 14)) == (1, 0)
    assert placement.cell((8, 7), (8, 14)) == (0, 1)
    assert placement.cell((99, 59), (8, 14)) == (7, 12)  # column 13 is padding


@pytest.mark.parametrize(
    ("direction", "cell"),
    [("horizontal", (1, 9)), ("vertical", (5, 1)), ("diagonal", (5, 9))],
)
def test_a_pixel_of_a_flipped_picture_finds_its_cell(direction, cell):
    # 56 x 88 pixels on an input of 64 x 96: 8 pixels of padding each way.
    metainfo = dict(
        ori_shape=(56, 88), scale_factor=(1.0, 1.0), flip=True, flip_direction=direction
    )
    placement = Placement.from_metainfo(metainfo, (64, 96))
    assert placement.cell((12, 9), (8, 12)) == cell
    for ends in ((12.5, 9.5), (0.0, 56.0)):
        back = placement.to_picture(*placement.to_network(*ends))
        assert back == pytest.approx(ends)


def test_height_and_width_may_be_scaled_differently():
    metainfo = dict(ori_shape=(100, 50), scale_factor=(4.0, 0.5), flip=False)
    placement = Placement.from_metainfo(metainfo, (50, 200))
    assert placement.cell((30, 90), (5, 20)) == (4, 12)


@pytest.mark.parametrize("point", [(-1, 0), (0, -1), (100, 0), (0, 60)])
def test_a_point_outside_of_the_picture_is_refused(point):
    with pytest.raises(ValueError, match=r"x from 0 to 99 and y from 0 to 59"):
        Placement((60, 100), (60, 100)).cell(point, (6, 10))


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", ["embedded_gaussian", "dot_product", "concatenation"])
def test_the_maps_are_the_blocks_rows(mode, sub_sample):
    block = NonLocal2d(8, mode=mode, sub_sample=sub_sample, std=0.5)
    x = torch.randn(1, 8, 7, 10)
    placement = Placement((70, 100), (70, 100))
    found = look("a", block, x, [(95, 5), (31, 69)], placement)
    rows = block.attention(x)[0].unflatten(1, (3, 5) if sub_sample else (7, 10))
    torch.testing.assert_close(found[0].weights, rows[0 * 10 + 9])
    torch.testing.assert_close(found[1].weights, rows[6 * 10 + 3])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("sub_sample", [False, True])
def test_the_strongest_place_is_where_the_picture_is_bright(sub_sample, mirrored):
    block = NonLocal2d(8, mode="gaussian", sub_sample=sub_sample)
    # The input is 48 x 80, half a picture of 96 x 160; its cells are 8 x 8.
    placement = Placement((96, 160), (48, 80), (0.5, 0.5), (mirrored, False))
    column = 10 - 1 - 7 if mirrored else 7
    at, y = column * 16 + 8, 2 * 16 + 8  # the centre of row 2, column 7 of the map
    (found,) = look("a", block, bright_at((2, 7)), [(at, y)], placement)
    ((to_x, to_y, weight),) = found.strongest(1)
    assert weight > 0.99
    side = 16 if sub_sample else 8  # of half a looked-at cell, in the picture
    assert abs(to_x - at) < side
    assert abs(to_y - y) < side
    if not sub_sample:
        assert (to_x, to_y) == pytest.approx((at, y))


def test_cells_that_sub_sampling_drops_are_not_covered():
    block = NonLocal2d(8, sub_sample=True)
    (found,) = look(
        "a", block, torch.randn(1, 8, 7, 11), [(0, 0)], Placement((70, 110), (70, 110))
    )
    assert found.corner == (0, 0)
    assert found.opposite == pytest.approx((100, 60))


def test_only_the_asked_rows_are_computed():
    """All rows of a map of 400 x 600 positions would take 3.6 TB."""
    block = NonLocal2d(2, sub_sample=True)
    placement = Placement((400, 600), (400, 600))
    (found,) = look("a", block, torch.randn(1, 2, 400, 600), [(5, 6)], placement)
    assert found.weights.shape == (200, 300)


def test_a_block_is_found_by_the_end_of_its_path_only():
    model = nn.ModuleDict(dict(one=NonLocal2d(2), other_one=NonLocal2d(2)))
    assert list(non_local_blocks(model)) == ["one", "other_one"]
    assert list(non_local_blocks(model, ["one"])) == ["one"]
    with pytest.raises(ValueError, match="named 'three'; there are one, other_one"):
        non_local_blocks(model, ["three"])
    with pytest.raises(ValueError, match=r"Linear has no nlse_mm\.NonLocal2d block"):
        non_local_blocks(nn.Linear(1, 1))
