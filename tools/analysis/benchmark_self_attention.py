"""Time and peak memory of SelfAttention2d beside the straightforward formula.

    python tools/analysis/benchmark_self_attention.py
    python tools/analysis/benchmark_self_attention.py --forms quadratic --sizes 50x84

The straightforward one computes the weights of every head for every pair of positions
with PyTorch's own operations and keeps them for the gradients, as the public code of
arXiv 1911.03584 does. Time is that of a forward and backward pass, each round one after
the other; peak memory that of one pass above its input. Each is taken in a process of
its own.
"""

import argparse
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from benchmark_blocks import high_water_bytes, size
from rich.console import Console
from rich.progress import track
from rich.table import Table
from timing import machine, rounds
from torch import nn

from nlse_mm.plugins import SelfAttention2d

FORMS = {
    "quadratic": dict(encoding="quadratic"),
    "quadratic_full": dict(encoding="quadratic_full"),
    "learned": dict(encoding="learned"),
    "quadratic, content": dict(encoding="quadratic", content=True),
}


class Straightforward(nn.Module):
    """The same layer with all weights (N, h, P, P) at once."""

    def __init__(self, layer: SelfAttention2d):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        means = self.layer.attention(x) @ x.flatten(2).transpose(1, 2)[:, None]
        stacked = means.permute(0, 1, 3, 2).flatten(1, 2).unflatten(2, x.shape[2:])
        return self.layer.value(stacked)


def main() -> None:
    args = parse_args()
    title = (
        f"{machine('cpu')}, {args.channels} channels, {args.heads} heads, batch 1, "
        f"torch {torch.__version__}"
    )
    names = ("form", "positions", "ms", "straightforward's", "ratio")
    table = Table(*names, "peak MiB", "straightforward's", "ratio", title=title)
    runs = [(form, (h, w)) for form in args.forms for h, w, _ in args.sizes]
    for form, extent in track(runs, console=Console(stderr=True)):
        table.add_row(*measure(form, extent, args))
    Console(width=120).print(table)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = [size(s) for s in ("14x14", "32x32", "50x84", "100x168")]
    parser.add_argument("--sizes", nargs="+", type=size, default=sizes, metavar="HxW")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--channels", type=int, default=252)
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--room",
        type=float,
        default=10.0,
        help="GiB that the straightforward one may take; it isn't run above (10)",
    )
    return parser.parse_args()


def measure(form: str, extent: tuple[int, int], args: argparse.Namespace) -> list[str]:
    positions = extent[0] * extent[1]
    maps = 16 * 4 * args.heads * positions**2 / 2**30  # scores, their terms, weights
    kinds = [False, True] if maps < args.room else [False]
    seconds = apart(times, form, kinds, extent, args)
    peaks = {kind: apart(peak_bytes, form, kind, extent, args) for kind in kinds}
    row = [form, f"{positions:,}"]
    own = statistics.median(seconds[False])
    if len(kinds) == 1:
        row += [f"{1e3 * own:.0f}", f"needs about {maps:.0f} GiB", "-"]
        return [*row, f"{peaks[False] / 2**20:.0f}", "-", "-"]
    pairs = zip(seconds[False], seconds[True], strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    row += [f"{1e3 * s:.0f}" for s in (own, statistics.median(seconds[True]))]
    row += [f"{ratio:.2f}", *(f"{peaks[kind] / 2**20:.0f}" for kind in kinds)]
    return [*row, f"{peaks[False] / peaks[True]:.2f}"]


def apart(function, *args):
    """What ``function`` returns in a process of its own, whose memory is then free."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def times(form: str, kinds: list[bool], extent, args) -> dict[bool, list[float]]:
    x = torch.rand(1, args.channels, *extent, requires_grad=True)
    steps = {kind: step(build(form, kind, args), x) for kind in kinds}
    return rounds(steps, args.rounds, 60)


def build(form: str, straightforward: bool, args: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    channels = args.channels
    layer = SelfAttention2d(channels, channels, num_heads=args.heads, **FORMS[form])
    return Straightforward(layer) if straightforward else layer


def step(layer: nn.Module, x: torch.Tensor):
    def run() -> None:
        x.grad = None
        layer.zero_grad()
        layer(x).sum().backward()

    return run


def peak_bytes(form: str, straightforward: bool, extent, args) -> float:
    layer = build(form, straightforward, args)
    step(layer, torch.rand(1, args.channels, 8, 8, requires_grad=True))()
    run = step(layer, torch.rand(1, args.channels, *extent, requires_grad=True))
    with open("/proc/self/clear_refs", "w") as marks:
        marks.write("5")  # the high-water mark falls to what is used now
    before = high_water_bytes()
    run()
    return high_water_bytes() - before


if __name__ == "__main__":
    main()
