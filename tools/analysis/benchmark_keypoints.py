#!/usr/bin/env python
"""Time the decoding of heatmaps against Detectron2's loop over regions.

    tools/analysis/benchmark_keypoints.py
    tools/analysis/benchmark_keypoints.py --rois 300 --device cuda

Regions are as COCO's people: 32 to 400 pixels wide and 1.2 to 2.8 times as high. Maps
are a bump for each joint in noise, or noise alone.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from nlse_mm.keypoints import heatmaps_to_keypoints


def decode_one_by_one(maps: Tensor, rois: Tensor) -> Tensor:
    """Detectron2's decoding: resize the map of each region to its pixels."""
    out = maps.new_zeros((*maps.shape[:2], 4))
    for i, (x1, y1, x2, y2) in enumerate(rois.tolist()):
        size = torch.tensor([y2 - y1, x2 - x1]).clamp(min=1)
        height, width = size.ceil().int().tolist()
        surface = F.interpolate(maps[i][None], (height, width), mode="bicubic")[0]
        peak = surface.flatten(1).max(1).values[:, None, None]
        scores = (surface - peak).exp() / (maps[i] - peak).exp().sum((1, 2))[
            :, None, None
        ]
        place = surface.flatten(1).argmax(1)
        y, x = place // width, place % width
        joints = torch.arange(maps.shape[1], device=maps.device)
        out[i, :, 0] = x1 + (x + 0.5) * float(size[1]) / width
        out[i, :, 1] = y1 + (y + 0.5) * float(size[0]) / height
        out[i, :, 2] = surface[joints, y, x]
        out[i, :, 3] = scores[joints, y, x]
    return out


def random_regions(rois: int, noise_only: bool) -> tuple[Tensor, Tensor]:
    """Maps (R, 17, 56, 56) and regions (R, 4)."""
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


def milliseconds(decode: Callable, *args: Tensor, repeat: int) -> float:
    """The median of ``repeat`` calls, after one."""
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        decode(*args)
        if args[0].is_cuda:
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times[1:])[repeat // 2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rois", type=int, default=100, help="regions (100)")
    parser.add_argument("--repeat", type=int, default=5, help="timed calls (5)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    args = parser.parse_args()
    torch.manual_seed(0)
    print(f"{args.rois} regions, {args.device}, {torch.get_num_threads()} CPU threads")
    for noise_only in (False, True):
        maps, rois = (t.to(args.device) for t in random_regions(args.rois, noise_only))
        loop = milliseconds(decode_one_by_one, maps, rois, repeat=args.repeat)
        ours = milliseconds(heatmaps_to_keypoints, maps, rois, repeat=args.repeat)
        a, b = decode_one_by_one(maps, rois), heatmaps_to_keypoints(maps, rois)
        near = ((a - b)[..., :2].abs() <= 1).all(-1).float().mean()
        print(
            f"{'noise' if noise_only else 'bumps'}: loop {loop:.0f} ms, "
            f"ours {ours:.0f} ms, {loop / ours:.0f} times as fast, "
            f"{100 * near:.2f}% of joints within 1 pixel"
        )


if __name__ == "__main__":
    main()
