"""Keypoints to cells and back, against loops written from the formulas."""

import math

import pytest
import torch
from torch.nn import functional as F

from nlse_mm.keypoints import heatmaps_to_keypoints, keypoints_to_heatmap

S = 56


def cell_of(x, y, v, roi):
    x1, y1, x2, y2 = roi
    if not (v > 0 and x1 <= x <= x2 and y1 <= y <= y2 and x2 > x1 and y2 > y1):
        return 0, False
    column = S - 1 if x == x2 else math.floor((x - x1) * S / (x2 - x1))
    row = S - 1 if y == y2 else math.floor((y - y1) * S / (y2 - y1))
    return row * S + column, True


def decode_one_by_one(maps, rois):
    """Detectron2's published decoding, in float64."""
    out = torch.zeros((*maps.shape[:2], 4), dtype=torch.float64)
    for i, (x1, y1, x2, y2) in enumerate(rois.tolist()):
        w, h = max(x2 - x1, 1), max(y2 - y1, 1)
        W, H = math.ceil(w), math.ceil(h)
        surface = F.interpolate(maps[i][None].double(), (H, W), mode="bicubic")[0]
        for k in range(maps.shape[1]):
            at = int(surface[k].argmax())
            logit = surface[k].flatten()[at]
            score = logit.exp() / maps[i, k].double().exp().sum()
            place = (x1 + (at % W + 0.5) * w / W, y1 + (at // W + 0.5) * h / H)
            out[i, k] = torch.tensor([*place, logit, score])
    return out


def regions(R, least=1):
    start = 300 * torch.rand(R, 2, dtype=torch.float64)
    size = least + 300 * torch.rand(R, 2, dtype=torch.float64) ** 2
    return torch.cat((start, start + size), 1)


def bumps(R, K=17):
    centre = S * torch.rand(R, K, 2, 1, 1)
    grid = torch.arange(S) + 0.5
    d = (grid - centre[:, :, 0]) ** 2 + (grid[:, None] - centre[:, :, 1]) ** 2
    return 12 * (-d / 8).exp() + 0.5 * torch.randn(R, K, S, S)


def test_cells_equal_the_formula_in_a_loop():
    rois = regions(40)
    xy = rois[:, None, :2] + (rois[:, None, 2:] - rois[:, None, :2]) * (
        1.2 * torch.rand(40, 17, 2, dtype=torch.float64) - 0.1
    )
    visible = torch.randint(0, 3, (40, 17, 1)).double()
    keypoints = torch.cat((xy, visible), -1)
    cells, valid = keypoints_to_heatmap(keypoints, rois, S)
    for r in range(40):
        for k in range(17):
            expected = cell_of(*keypoints[r, k].tolist(), rois[r].tolist())
            assert (int(cells[r, k]), bool(valid[r, k])) == expected


@pytest.mark.parametrize(
    ("keypoint", "cell", "valid"),
    [
        ((10, 20, 2), 0, True),  # the upper left corner
        ((66, 76, 2), S * S - 1, True),  # the lower right corner: the last cell
        ((66, 20, 1), S - 1, True),  # hidden keypoints count
        ((66.01, 20, 2), 0, False),
        ((9.99, 20, 2), 0, False),
        ((12.5, 21.5, 2), S + 2, True),
        ((12.5, 21.5, 0), 0, False),
    ],
)
def test_the_borders_of_a_region(keypoint, cell, valid):
    roi = torch.tensor([[10.0, 20.0, 66.0, 76.0]])  # a pixel a cell
    found = keypoints_to_heatmap(torch.tensor([[keypoint]]), roi, S)
    assert (int(found[0]), bool(found[1])) == (cell, valid)


def test_a_region_without_extent_has_no_valid_keypoint():
    roi = torch.tensor([[5.0, 5.0, 5.0, 9.0]])
    cells, valid = keypoints_to_heatmap(torch.tensor([[[5.0, 6.0, 2.0]]]), roi, S)
    assert not valid.any()
    assert int(cells) == 0


def test_back_and_forth_is_within_half_a_cell_and_half_a_pixel():
    rois = regions(30).float()
    size = (rois[:, 2:] - rois[:, :2])[:, None]
    keypoints = rois[:, None, :2] + size * torch.rand(30, 17, 2)
    keypoints = torch.cat((keypoints, torch.ones(30, 17, 1)), -1)
    cells, valid = keypoints_to_heatmap(keypoints, rois, S)
    assert valid.all()
    maps = 20 * F.one_hot(cells, S * S).float().unflatten(-1, (S, S))
    found = heatmaps_to_keypoints(maps, rois)[..., :2]
    pixels = torch.where(2 * size.ceil() < S, S, size.ceil())
    half_pixel = 0.5 * S / pixels  # in cells
    error = (found - keypoints[..., :2]).abs() / size * S - half_pixel
    row, column = cells // S, cells % S
    inner = (row % (S - 1) > 0) & (column % (S - 1) > 0)
    assert (error[inner] <= 0.501).all()
    # The surface overshoots towards the border, in Detectron's decoding too.
    assert (error <= 1.001).all()


def test_decoding_equals_detectrons_loop():
    # In regions of under S / 2 pixels Detectron's grid may miss the peak.
    rois, maps = regions(60, least=S // 2).float(), bumps(60)
    expected = decode_one_by_one(maps, rois)
    found = heatmaps_to_keypoints(maps, rois).double()
    place = ((found - expected)[..., :2].abs() <= 1).all(-1)
    assert place.double().mean() >= 0.99
    # And the surface's value and the score there, which are highest at Detectron's.
    assert (found[..., 2:] <= expected[..., 2:] + 1e-4).all()
    value = (found[..., 2:] >= expected[..., 2:] - 1e-4).all(-1)
    assert value.double().mean() >= 0.99


def test_no_region_gives_no_keypoint():
    found = heatmaps_to_keypoints(torch.zeros(0, 17, S, S), torch.zeros(0, 4))
    assert found.shape == (0, 17, 4)
    cells, _ = keypoints_to_heatmap(torch.zeros(0, 17, 3), torch.zeros(0, 4), S)
    assert cells.shape == (0, 17)


def test_regions_of_a_pixel_or_less_give_keypoints_within_a_pixel():
    rois = torch.tensor([[7.0, 9.0, 8.0, 10.0], [7.0, 9.0, 7.0, 9.5]])
    found = heatmaps_to_keypoints(bumps(2), rois)
    assert found.isfinite().all()
    assert ((found[..., :2] - rois[:, None, :2]) >= 0).all()
    assert ((found[..., :2] - rois[:, None, :2]) <= 1).all()
