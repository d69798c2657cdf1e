#!/usr/bin/env python
"""Compare time and peak memory of the non-local blocks with MMCV's, by mode and size.

    tools/analysis/benchmark_blocks.py
    tools/analysis/benchmark_blocks.py --sizes 50x84 100x168 --modes gaussian
    tools/analysis/benchmark_blocks.py --device cuda --amp

A size is HxW, with 1024 channels, or HxW:C. Where MMCV's block would need more than
--room it isn't run.

A round times a step of one block and then of the other, so that whatever slows the
machine slows both; a ratio is the median over the rounds of ours divided by MMCV's in
the same round. Peak memory is that of one forward and backward pass above the input:
on a CPU the growth of a fresh process's high-water mark over a small pass that warmed
it up, on a GPU the peak of the allocator.
"""

import argparse
import statistics
from pathlib import Path

import mmcv
import torch
from arguments import save_figure
from benchmark_report import Report
from harness import (
    benchmark_parser,
    beside,
    extent,
    inference_step,
    parse,
    times,
    training_costs,
)
from matplotlib.figure import Figure
from mmcv.cnn import NonLocal2d as MMCVNonLocal2d

from nlse_mm.plugins import NonLocal2d
from nlse_mm.plugins.non_local import MODES

BLOCKS = {"nlse_mm": NonLocal2d, "mmcv": MMCVNonLocal2d}
COLUMNS = ["mode", "positions", "channels"]
for quantity in ("forward ms", "training ms", "peak MiB"):
    COLUMNS += [quantity, "MMCV's", "ratio"]
COLUMNS += ["MMCV can't"]
SIZES = ("14x14", "25x42", "50x84", "100x168", "200x336:256")
# Maps of weights that MMCV's block holds at once in a backward pass, to tell
# beforehand what won't fit.
PEER_MAPS = 4


def main() -> None:
    args = parse_args()
    dtype = "bfloat16 autocast" if args.amp else "float32"
    setting = f"mmcv {mmcv.__version__}, {dtype}, batch 1, reduction 2"
    report = Report("Non-local blocks beside MMCV's", args, __doc__, COLUMNS, setting)
    curves = {}
    for height, width, channels in args.sizes:
        for mode in args.modes:
            shape = (1, channels, height, width)
            training, peak = measure(report, mode, shape, args)
            for name in training:
                cost = (statistics.median(training[name]), peak[name][0])
                curve = curves.setdefault((channels, mode, name), [])
                curve.append((height * width, *cost))
    report.finish()
    if args.plot:
        save_figure(plot(curves), args.plot)


def parse_args() -> argparse.Namespace:
    parser = benchmark_parser(__doc__, 7, 60.0, sizes=SIZES, read=map_size)
    add = parser.add_argument
    add("--modes", nargs="+", choices=MODES, default=MODES)
    add("--amp", action="store_true", help="bfloat16 autocast")
    add("--sub-sample", action="store_true")
    add("--room", type=float, default=16.0, help="GiB MMCV's may take (16)")
    add("--plot", type=Path, help="a figure of cost over positions")
    return parse(parser)


def map_size(text: str) -> tuple[int, int, int]:
    """Read ``50x84:256`` as height, width and channels, which are 1024 if not given."""
    size, _, channels = text.partition(":")
    try:
        return *extent(size), int(channels or 1024)
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW or HxW:C") from None


def measure(
    report: Report, mode: str, shape: tuple[int, ...], args: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Add the row of a mode and a size; return training times and peaks by block."""
    refusal, runnable, trainable = peer_limits(mode, shape, args)
    layers = {name: (name, mode, shape[1], args.sub_sample) for name in BLOCKS}
    x = torch.rand(shape, device=args.device)
    blocks = {name: build(*layers[name]).to(args.device) for name in runnable}
    steps = {n: inference_step(block, x, args.amp) for n, block in blocks.items()}
    forward = times(steps, args)
    del blocks, steps, x
    layers = {name: layers[name] for name in trainable}
    training, peak = training_costs(build, layers, shape, args, args.amp)
    cells = [mode, f"{shape[2] * shape[3]:,}", str(shape[1])]
    for measured, *form in ((forward, 1e3, 1), (training, 1e3, 1), (peak, 1, 0)):
        cells += beside(*(measured.get(name, []) for name in BLOCKS), *form)
    report.add(*cells, refusal)
    return training, peak


def peer_limits(
    mode: str, shape: tuple[int, ...], args: argparse.Namespace
) -> tuple[str, list[str], list[str]]:
    """Why MMCV's block can't run; which blocks run, and which of them train."""
    _, channels, height, width = shape
    queries = height * width
    keys = queries // 4 if args.sub_sample else queries
    gib = queries * keys * (2 if args.amp else 4) / 2**30
    # The concatenated theta and phi of every pair; repeated first, so twice.
    gib *= 2 * 2 * (channels // 2) if mode == "concatenation" else PEER_MAPS
    both, ours = list(BLOCKS), ["nlse_mm"]
    if gib > args.room:
        return f"needs about {gib:,.0f} GiB", ours, ours
    if mode == "concatenation":
        return "backward: it divides the ReLU's output in place", both, ours
    return "", both, both


def build(name: str, mode: str, channels: int, sub_sample: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    return BLOCKS[name](channels, mode=mode, sub_sample=sub_sample, zeros_init=False)


def plot(curves: dict[tuple, list[tuple]]) -> Figure:
    """Draw time and memory over positions, of the channels that most sizes have."""
    counts = {}
    for (channels, *_), curve in curves.items():
        counts[channels] = counts.get(channels, 0) + len(curve)
    most = max(counts, key=counts.get)
    modes = list(dict.fromkeys(mode for _, mode, _ in curves))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (channels, mode, name), curve in curves.items():
        if channels == most:
            positions, seconds, mebibytes = zip(*curve, strict=True)
            style = dict(color=f"C{modes.index(mode)}", label=f"{mode}, {name}")
            line = "-o" if name == "nlse_mm" else "--x"
            left.loglog(positions, seconds, line, **style)
            right.loglog(positions, mebibytes, line, **style)
    left.set(title="training step", xlabel="positions", ylabel="seconds")
    right.set(title="peak memory above the input", xlabel="positions", ylabel="MiB")
    left.legend(fontsize=7)
    figure.suptitle(f"Non-local blocks, {most} channels: nlse_mm and MMCV")
    return figure


if __name__ == "__main__":
    main()
