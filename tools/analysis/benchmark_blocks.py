#!/usr/bin/env python
"""Compare time and peak memory of the non-local blocks with MMCV's, by mode and size.

    tools/analysis/benchmark_blocks.py --sizes 50x84 100x168:256 --modes gaussian
    tools/analysis/benchmark_blocks.py --sizes 14x14:64:16 14x14:512:128 28x28:512:8
    tools/analysis/benchmark_blocks.py --device cuda --amp

A size is HxW, of one image with 1024 channels, HxW:C or HxW:C:N, of N images. Where
MMCV's block would need more than --room it isn't run.

`training` is a forward and a backward pass, `of best` the ratio of the fastest ones of
all rounds, and `peak` what a pass takes above its input.
"""

import statistics
from argparse import Namespace
from functools import partial
from itertools import product

import harness
import mmcv
import torch
from arguments import at_least_one, save_figure
from harness import beside
from matplotlib.figure import Figure
from mmcv.cnn import NonLocal2d as MMCVNonLocal2d

from nlse_mm.plugins import NonLocal2d
from nlse_mm.plugins.non_local import MODES
from nlse_mm.training.command_line import output_path
from nlse_mm.training.user_error import in_one_sentence

BLOCKS = {"nlse_mm": NonLocal2d, "mmcv": MMCVNonLocal2d}
PEER = ["MMCV's", "ratio"]
COLUMNS = ["mode", "positions", "channels", "images", "forward ms", *PEER]
COLUMNS += ["training ms", *PEER, "of best", "peak MiB", *PEER, "MMCV can't"]
# Rois of heads and small images in batches, then single images up to res2.
SIZES = ("14x14:64:16", "14x14:512:128", "28x28:512:8")
SIZES += ("14x14", "25x42", "50x84", "100x168", "200x336:256")
PEER_MAPS = 4  # of weights, that MMCV's block holds at once in a backward pass
# What was trained: channels, mode, block; positions, seconds, MiB.
Point = tuple[int, str, str, int, float, float]


def map_size(text: str) -> tuple[int, int, int, int]:
    """Read ``50x84:256:2`` as height, width, channels (or 1024) and images (or 1)."""
    size, _, rest = text.partition(":")
    channels, _, images = rest.partition(":")
    numbers = at_least_one(channels or "1024"), at_least_one(images or "1")
    return *harness.extent(size), *numbers


@in_one_sentence
def main() -> None:
    parser = harness.benchmark_parser(__doc__, rounds=7)
    parser.set_defaults(seconds=60.0)
    add = parser.add_argument
    how = dict(nargs="+", type=map_size, metavar="HxW:C:N", help=" ".join(SIZES))
    add("--sizes", default=[map_size(text) for text in SIZES], **how)
    add("--modes", nargs="+", choices=MODES, default=MODES)
    add("--amp", action="store_true", help="bfloat16 autocast")
    add("--sub-sample", action="store_true")
    add("--room", type=float, default=16.0, help="GiB MMCV's may take (16)")
    add("--plot", type=output_path, help="a figure of cost over positions")
    args = harness.parse(parser)
    dtype = "bfloat16 autocast" if args.amp else "float32"
    setting = f"mmcv {mmcv.__version__}, {dtype}, reduction 2"
    report = harness.Report("Non-local blocks beside MMCV's", COLUMNS, setting, args)
    points: list[Point] = []
    for size, mode in product(args.sizes, args.modes):
        points += measure(report, mode, *size, args)
    report.finish()
    if args.plot:
        save_figure(plot(points), args.plot)


def measure(
    report: harness.Report, mode: str, H: int, W: int, C: int, N: int, args: Namespace
) -> list[Point]:
    """Add the row of a mode and a size."""
    why, shape = why_not(mode, H * W, C, args, N), (N, C, H, W)
    both = {name: partial(build, name, C, mode, args.sub_sample) for name in BLOCKS}
    ours = {"nlse_mm": both["nlse_mm"]}
    runs, trains = (ours if "GiB" in why else both), (ours if why else both)
    forward = harness.pass_times(runs, shape, args, training=False)
    training = harness.pass_times(trains, shape, args, training=True)
    peak = harness.training_peaks(trains, shape, args)
    cells = beside(forward, BLOCKS, 1e3, 1) + beside(training, BLOCKS, 1e3, 1)
    best = {name: [min(own)] for name, own in training.items()}
    cells += [beside(best, BLOCKS)[-1], *beside(peak, BLOCKS), why]
    report.add(mode, f"{H * W:,}", str(C), str(N), *cells)
    seconds = {name: statistics.median(own) for name, own in training.items()}
    if N > 1:  # the figure is one of single images
        return []
    return [(C, mode, n, H * W, seconds[n], peak[n][0]) for n in trains]


def why_not(
    mode: str, queries: int, channels: int, args: Namespace, images: int = 1
) -> str:
    """Say why MMCV's block can't be trained; nothing if it can."""
    keys = queries // 4 if args.sub_sample else queries
    # The concatenated theta and phi of every pair; repeated first, so twice.
    maps = 2 * 2 * (channels // 2) if mode == "concatenation" else PEER_MAPS
    gib = images * maps * queries * keys * (2 if args.amp else 4) / 2**30
    if gib > args.room:
        return f"needs about {gib:,.0f} GiB"
    is_broken = mode == "concatenation"
    return "backward: it divides the ReLU's output in place" if is_broken else ""


def build(name: str, channels: int, mode: str, sub_sample: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    return BLOCKS[name](channels, mode=mode, sub_sample=sub_sample, zeros_init=False)


def plot(points: list[Point]) -> Figure:
    """Draw time and memory over positions, of the channels that most sizes have."""
    most = statistics.mode(channels for channels, *_ in points)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (i, mode), name in product(enumerate(MODES), BLOCKS):
        if own := [p[3:] for p in points if p[:3] == (most, mode, name)]:
            positions, seconds, mib = zip(*own, strict=True)
            style = dict(color=f"C{i}", label=f"{mode}, {name}")
            line = "-o" if name == "nlse_mm" else "--x"
            left.loglog(positions, seconds, line, **style)
            right.loglog(positions, mib, line, **style)
    left.set(title="training step", xlabel="positions", ylabel="seconds")
    right.set(title="peak memory above the input", xlabel="positions", ylabel="MiB")
    left.legend(fontsize=7)
    figure.suptitle(f"Non-local blocks, {most} channels: nlse_mm and MMCV")
    return figure


if __name__ == "__main__":
    main()
