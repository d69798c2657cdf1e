"""Turn keypoints into cells of heatmaps, and heatmaps into keypoints.

Shapes: R regions of the whole batch, K keypoints, S cells of a map each way, C peaks
whose surroundings are interpolated, M pixels around each of them each way.

Coordinates are continuous: the image's left edge is 0, the centre of its first pixel
0.5. COCO files hold pixel indices; ``CocoKeypointDataset`` adds 0.5 to them and
``CocoKeypointMetric`` takes it off again, as Detectron2 does. There is no shift by a
quarter of a cell: the best place of the bicubic surface is finer than that.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

CANDIDATES = 3
_CUBIC = -0.75  # PyTorch's coefficient of bicubic interpolation


def keypoints_to_heatmap(
    keypoints: Tensor, rois: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    r"""Return the cell of each keypoint in its region's map.

    .. math:: c_x = \lfloor (x - x_1)\, S / (x_2 - x_1) \rfloor

    and the same for y; the class is :math:`c_y S + c_x`. A keypoint exactly on the
    right or lower edge belongs to the last cell. Mask R-CNN, section 5, and Detectron2.

    Args:
        keypoints: (R, K, 3): x, y in pixels of the image the regions are in, and
            visibility, above 0 when the keypoint is labelled.
        rois: (R, 4): x1, y1, x2, y2 in the same pixels.
        size: Cells S of a map each way.

    Returns:
        Classes (R, K) in ``range(size * size)``, 0 where invalid; and whether each
        keypoint is valid (R, K): labelled, and inside its region.
    """
    start, end = rois[:, None, :2], rois[:, None, 2:]  # (R, 1, 2) each
    xy = keypoints[..., :2]  # (R, K, 2)
    # A region without extent has no cells: 0 / 0 and x / 0 are never inside.
    place = (xy - start) / (end - start) * size
    cell = torch.where(xy == end, torch.full_like(place, size - 1), place.floor())
    inside = ((cell >= 0) & (cell < size) & (end > start)).all(-1)  # (R, K)
    valid = inside & (keypoints[..., 2] > 0)
    cell = torch.where(valid[..., None], cell, torch.zeros_like(cell)).long()
    return cell[..., 1] * size + cell[..., 0], valid


def heatmaps_to_keypoints(maps: Tensor, rois: Tensor) -> Tensor:
    """Return the most probable place of each keypoint, to a pixel.

    Detectron resizes every map, bicubically, to its region's size in pixels and takes
    the centre of the best pixel, one region after another. Here all regions are done
    at once: the same surface is evaluated at the same pixels, but only within a cell
    and a half of the map's best peaks, where its maximum is. In a region of fewer than
    S / 2 pixels it is evaluated at the cells' centres, as its pixels may miss the peak.

    A keypoint put into a map comes back within half a cell and half a pixel; from the
    outermost cells within a cell, because the surface overshoots towards the border.

    Args:
        maps: (R, K, S, S) logits.
        rois: (R, 4): x1, y1, x2, y2 in pixels.

    Returns:
        (R, K, 4): x and y in the regions' pixels, the interpolated logit there, and the
        score: the logit's softmax over the S * S cells.
    """
    R, K, S, _ = maps.shape
    if R == 0:
        return maps.new_zeros((0, K, 4), dtype=torch.float32)
    maps, rois = maps.detach().float(), rois.detach().float()
    extent = (rois[:, 2:] - rois[:, :2]).clamp(min=1)  # (R, 2)
    pixels = extent.ceil()
    pixels = torch.where(2 * pixels < S, S, pixels)
    column, row = _best_cells(maps)  # (R, K, C) each
    x, weights_x = _window(column, pixels[:, 0], S)  # (R, K, C, M), (R, K, C, M, 7)
    y, weights_y = _window(row, pixels[:, 1], S)

    around = torch.arange(7, device=maps.device)
    padded = F.pad(maps, (3, 3, 3, 3), mode="replicate").flatten(2)  # (R, K, (S + 6)^2)
    # The upper left of the 7 x 7 cells around a peak.
    corner = (row * (S + 6) + column)[..., None, None]  # (R, K, C, 1, 1)
    index = corner + around[:, None] * (S + 6) + around  # (R, K, C, 7, 7)
    patch = padded.gather(-1, index.flatten(2)).view(index.shape)  # (R, K, C, 7, 7)
    surface = weights_y @ patch @ weights_x.transpose(-1, -2)  # (R, K, C, M, M)

    logit, best = surface.flatten(2).max(-1)  # (R, K) each
    M_y, M_x = surface.shape[-2:]
    candidate = best // (M_y * M_x)
    best_y = _take(y, candidate * M_y + best // M_x % M_y)
    best_x = _take(x, candidate * M_x + best % M_x)
    place = torch.stack((best_x, best_y), dim=-1) + 0.5  # (R, K, 2)
    # Where an extent isn't whole, the surface's pixels are a little under one.
    place = rois[:, None, :2] + place * (extent / pixels)[:, None]
    score = (logit - maps.flatten(2).logsumexp(-1)).exp()  # (R, K)
    return torch.cat((place, logit[..., None], score[..., None]), dim=-1)


def _window(cell: Tensor, pixels: Tensor, S: int) -> tuple[Tensor, Tensor]:
    """Find the pixels along one axis within a cell and a half of a cell's centre.

    Args:
        cell: (R, K, C) cells.
        pixels: (R,) the regions' pixels along the axis, S / 2 or more.

    Returns:
        Indices of the pixels (R, K, C, M), and the weights (R, K, C, M, 7) with which
        bicubic interpolation at those pixels sums the seven cells around.
    """
    per_cell = (pixels / S)[:, None, None]  # (R, 1, 1)
    first = ((cell - 1) * per_cell - 0.5).ceil()  # (R, K, C)
    last = ((cell + 2) * per_cell - 0.5).floor().minimum(pixels[:, None, None] - 1)
    M = int((3 * per_cell.max()).floor()) + 1
    index = first.clamp(min=0)[..., None] + torch.arange(M, device=cell.device)
    # (R, K, C, M); where there are fewer the last pixel repeats, which is harmless.
    index = index.minimum(last[..., None])
    # From the cell's centre, in cells.
    offset = (index + 0.5) / per_cell[..., None] - (cell[..., None] + 0.5)
    around = torch.arange(-3, 4, device=cell.device)
    return index, _cubic((offset[..., None] - around).abs())


def _best_cells(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return columns and rows (R, K, C) of the highest local maxima, highest first."""
    S = maps.shape[-1]
    # The maximum of 3 x 3 cells; F.max_pool2d takes half the whole decoding's time.
    high = maps.clone()
    for axis in (-1, -2):
        before, here = high.narrow(axis, 0, S - 1), high.narrow(axis, 1, S - 1)
        wide = high.clone()
        wide.narrow(axis, 1, S - 1).copy_(torch.maximum(here, before))
        ahead = wide.narrow(axis, 0, S - 1)
        ahead.copy_(torch.maximum(ahead, here))
        high = wide
    values = maps.masked_fill(maps < high, -torch.inf).flatten(2)  # (R, K, S * S)
    index = values.topk(min(CANDIDATES, S * S), dim=-1).indices  # (R, K, C)
    return index % S, index // S


def _cubic(d: Tensor) -> Tensor:
    """Return Keys' interpolation kernel at distance ``d`` in cells; 0 from 2 on."""
    a = _CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Take ``values`` (R, K, C, M), flattened over C and M, at ``index`` (R, K)."""
    return values.flatten(2).gather(-1, index[..., None])[..., 0]
