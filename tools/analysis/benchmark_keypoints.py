#!/usr/bin/env python
"""Compare the time of decoding heatmaps with Detectron2's loop over regions.

    tools/analysis/benchmark_keypoints.py
    tools/analysis/benchmark_keypoints.py --rois 300 --device cuda

Regions are as COCO's people: 32 to 400 pixels wide and 1.2 to 2.8 times as high. Maps
are a bump for each keypoint in noise, or noise alone.
"""

from functools import partial

import torch
from arguments import at_least_one
from harness import Report, benchmark_parser, beside, parse, times
from torch import Tensor
from torch.nn import functional as F

from nlse_mm.keypoints import heatmaps_to_keypoints
from nlse_mm.training.user_error import in_one_sentence

COLUMNS = ("maps", "loop, ms", "ours", "times as fast", "keypoints within 1 pixel")


def decode_one_by_one(maps: Tensor, rois: Tensor) -> Tensor:
    """Decode as Detectron2: resize the map of each region to its pixels."""
    out = maps.new_zeros((*maps.shape[:2], 4))
    keypoints = torch.arange(maps.shape[1], device=maps.device)
    for i, (x1, y1, x2, y2) in enumerate(rois.tolist()):
        size = torch.tensor([y2 - y1, x2 - x1]).clamp(min=1)
        height, width = size.ceil().int().tolist()
        surface = F.interpolate(maps[i][None], (height, width), mode="bicubic")[0]
        peak = surface.flatten(1).max(1).values[:, None, None]
        scores = (surface - peak).exp() / (maps[i] - peak).exp().sum((1, 2), True)
        place = surface.flatten(1).argmax(1)
        y, x = place // width, place % width
        out[i, :, 0] = x1 + (x + 0.5) * float(size[1]) / width
        out[i, :, 1] = y1 + (y + 0.5) * float(size[0]) / height
        out[i, :, 2] = surface[keypoints, y, x]
        out[i, :, 3] = scores[keypoints, y, x]
    return out


def random_regions(rois: int, noise_only: bool) -> tuple[Tensor, Tensor]:
    """Return maps (R, 17, 56, 56) and regions (R, 4)."""
    width = 32 * 12.5 ** torch.rand(rois)
    height = width * (1.2 + 1.6 * torch.rand(rois))
    start = 300 * torch.rand(rois, 2)
    regions = torch.cat((start, start + torch.stack((width, height), 1)), 1)
    maps = torch.randn(rois, 17, 56, 56)
    if not noise_only:
        centre = 56 * torch.rand(rois, 17, 2, 1, 1)
        grid = torch.arange(56) + 0.5
        d = (grid - centre[:, :, 0]) ** 2 + (grid[:, None] - centre[:, :, 1]) ** 2
        maps = 12 * (-d / 8).exp() + 0.5 * maps
    return maps, regions


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--rois", type=at_least_one, default=100, help="regions (100)")
    args = parse(parser)
    report = Report("Decoding heatmaps", COLUMNS, f"{args.rois} regions", args)
    for name in ("bumps", "noise"):
        data = [t.to(args.device) for t in random_regions(args.rois, name == "noise")]
        ways = dict(loop=decode_one_by_one, ours=heatmaps_to_keypoints)
        steps = {n: partial(way, *data) for n, way in ways.items()}
        loop, ours = (step()[..., :2] for step in steps.values())
        near = ((loop - ours).abs() <= 1).all(-1).float().mean()
        report.add(name, *beside(times(steps, args), ways, 1e3), f"{near:.2%}")
    report.finish()


if __name__ == "__main__":
    main()
