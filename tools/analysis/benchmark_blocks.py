"""Time and peak memory of the non-local blocks beside MMCV's, by mode and size.

    python tools/analysis/benchmark_blocks.py
    python tools/analysis/benchmark_blocks.py --sizes 50x84 100x168 --modes gaussian
    python tools/analysis/benchmark_blocks.py --device cuda --amp

A round times a step of one block and then of the other, so that whatever slows the
machine slows both; a ratio is the median over the rounds of ours divided by MMCV's in
the same round. Peak memory is that of one forward and backward pass above the input:
on a CPU the growth of a fresh process's high-water mark over a small pass that warmed
it up, on a GPU the peak of the allocator.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import mmcv
import torch
from block_report import COLUMNS, Case, markdown, plot
from mmcv.cnn import NonLocal2d as MMCVNonLocal2d
from rich.console import Console
from rich.table import Table
from timing import autocast, machine, rounds

from nlse_mm.plugins import NonLocal2d
from nlse_mm.plugins.non_local import MODES

BLOCKS = {"nlse_mm": NonLocal2d, "mmcv": MMCVNonLocal2d}
SIZES = ("14x14", "25x42", "50x84", "100x168", "200x336:256")
# Maps of weights that MMCV's block holds at once in a backward pass, to tell
# beforehand what won't fit.
PEER_MAPS = 4


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cases = []
    for height, width, channels in args.sizes:
        for mode in args.modes:
            case = Case(mode, height, width, channels)
            measure(case, args)
            cases.append(case)
            print(" | ".join(case.cells()), file=sys.stderr, flush=True)
    table = Table(*COLUMNS, title=setting(args))
    for case in cases:
        table.add_row(*case.cells())
    Console(width=180).print(table)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        how = __doc__.strip().split("\n\n")[-1]
        args.output.write_text(markdown(cases, setting(args), how))
    if args.plot:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        plot(cases, args.plot)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=size,
        default=[size(s) for s in SIZES],
        metavar="HxW[:C]",
        help="maps, with 1024 channels where none are given (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="after which a case gets no further round, once it has had two",
    )
    parser.add_argument("--threads", type=int, help="cores to use; all by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--sub-sample", action="store_true")
    parser.add_argument(
        "--room",
        type=float,
        default=16.0,
        help="GiB that a block may take; where MMCV's would need more it isn't run",
    )
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    parser.add_argument("--plot", type=Path, help="a picture of cost over positions")
    return parser.parse_args()


def size(text: str) -> tuple[int, int, int]:
    """``50x84`` or ``50x84:256`` to height, width and channels."""
    extent, _, channels = text.partition(":")
    try:
        height, width = (int(n) for n in extent.split("x"))
        return height, width, int(channels or 1024)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW or HxW:C") from None


def measure(case: Case, args: argparse.Namespace) -> None:
    """Fill in the times, round by round, and the peaks, each in its own process."""
    case.refusal, trains, runs = peer_limits(case, args)
    forward = ["nlse_mm", "mmcv"] if runs else ["nlse_mm"]
    training = ["nlse_mm", "mmcv"] if trains else ["nlse_mm"]
    blocks = {name: build(name, case, args) for name in forward}
    x = torch.rand(1, case.channels, case.height, case.width, device=args.device)
    steps = {n: forward_step(blocks[n], x, args) for n in forward}
    case.forward = rounds(steps, args.rounds, args.seconds)
    x = x.clone().requires_grad_()
    steps = {n: training_step(blocks[n], x, args) for n in training}
    case.training = rounds(steps, args.rounds, args.seconds)
    del blocks, steps, x
    for name in training:
        # A pool of one fresh process for each: a high-water mark never sinks.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            case.peak[name] = pool.submit(peak_bytes, name, case, args).result()


def peer_limits(case: Case, args: argparse.Namespace) -> tuple[str, bool, bool]:
    """Why MMCV's block can't run; whether it can train; whether it can run at all."""
    looked = case.positions // 4 if args.sub_sample else case.positions
    itemsize = 2 if args.amp else 4
    gib = case.positions * looked * itemsize / 2**30
    if case.mode == "concatenation":
        # The concatenated theta and phi of every pair; repeated first, so twice.
        gib *= 2 * 2 * (case.channels // 2)
        trains = False
    else:
        gib *= PEER_MAPS
        trains = True
    if gib > args.room:
        return f"needs about {gib:,.0f} GiB", False, False
    if not trains:
        return "backward: it divides the ReLU's output in place", False, True
    return "", True, True


def build(name: str, case: Case, args: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(0)
    block = BLOCKS[name](
        case.channels, mode=case.mode, sub_sample=args.sub_sample, zeros_init=False
    )
    return block.to(args.device)


def forward_step(block, x, args) -> Callable[[], None]:
    def step() -> None:
        with torch.no_grad(), autocast(x, args.amp):
            block(x)

    return step


def training_step(block, x, args) -> Callable[[], None]:
    def step() -> None:
        x.grad = None
        block.zero_grad()
        with autocast(x, args.amp):
            y = block(x)
        y.backward(torch.ones_like(y))

    return step


def peak_bytes(name: str, case: Case, args: argparse.Namespace) -> float:
    """Bytes of one training step above its input; runs in a process of its own."""
    if args.threads:
        torch.set_num_threads(args.threads)
    block = build(name, case, args)
    small = torch.rand(1, case.channels, 8, 8, device=args.device, requires_grad=True)
    training_step(block, small, args)()
    shape = (1, case.channels, case.height, case.width)
    x = torch.rand(shape, device=args.device, requires_grad=True)
    step = training_step(block, x, args)
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # the mark falls to what is used now
    before = high_water_bytes()
    step()
    return high_water_bytes() - before


def high_water_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def setting(args: argparse.Namespace) -> str:
    dtype = "bfloat16 autocast" if args.amp else "float32"
    return (
        f"{machine(args.device)}, {dtype}, batch 1, reduction 2, "
        f"torch {torch.__version__}, mmcv {mmcv.__version__}"
    )


if __name__ == "__main__":
    main()
