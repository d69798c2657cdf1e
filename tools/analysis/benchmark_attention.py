#!/usr/bin/env python
"""Compare the non-local block with MMCV's, and with PyTorch's kernels inside of it.

    tools/analysis/benchmark_attention.py --device cuda
    tools/analysis/benchmark_attention.py --channels 256 --precisions bf16 fp16

The block is the embedded Gaussian's with D channels of queries, keys and values, 2 D of
the map. Its peers are MMCV's block, and ours in which PyTorch's flash,
memory-efficient or plain kernel ("math") attends.

`training` is a forward and a backward pass, and `MiB` what a step takes above its
input. Below each peer are our time and memory divided by its own: below 1, ours is
better. A kernel refuses what it isn't made for; below the table is what it said.
"""

import re
import statistics
import warnings
from argparse import Namespace
from contextlib import AbstractContextManager
from functools import partial
from itertools import product

import harness
import mmcv
import torch
import torch.nn.functional as F
from arguments import at_least_one
from mmcv.cnn import NonLocal2d as MMCVNonLocal2d
from precision import PRECISIONS, precision
from torch import Tensor, nn

from nlse_mm.analysis.peak_memory import peak_here
from nlse_mm.ops.precision import common_dtype
from nlse_mm.plugins import NonLocal2d
from nlse_mm.plugins.merged import add_output
from nlse_mm.training.user_error import in_one_sentence

STEPS = {"training": True, "inference": False}
# By the name of the table: PyTorch's own, and that of the flag of those below 2.3.
KERNELS = {
    "flash": ("FLASH_ATTENTION", "enable_flash"),
    "efficient": ("EFFICIENT_ATTENTION", "enable_mem_efficient"),
    "math": ("MATH", "enable_math"),
}
PEERS = ("MMCV's", *KERNELS)
COLUMNS = ["positions", "precision", "D", "batch", "step", "ms", "MiB"]
COLUMNS += [f"{kind}, {peer}" for peer in PEERS for kind in ("time", "MiB")]


class OnKernel(NonLocal2d):
    """The block with one of PyTorch's kernels in the place of our attention."""

    kernel: str

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self._embed(x)  # (N, P or Q, D)
        dtype = common_dtype(query, key, value)
        # One head, contiguous, as the kernels want it: (N, 1, P or Q, D).
        heads = (t.to(dtype).contiguous().unsqueeze(1) for t in (query, key, value))
        with only(self.kernel):
            y = F.scaled_dot_product_attention(*heads, scale=self._scale)
        return add_output(x, y.squeeze(1), self.conv_out)


@in_one_sentence
def main() -> None:
    parser = harness.benchmark_parser(__doc__, rounds=7, sizes=["50x84"])
    parser.set_defaults(seconds=5.0)
    add, number = parser.add_argument, dict(type=at_least_one, nargs="+")
    add("--channels", **number, default=[128, 256, 512], metavar="D")
    add("--batches", **number, default=[1, 2, 16], metavar="N")
    names = list(PRECISIONS)
    add("--precisions", nargs="+", choices=names, default=names)
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    args = harness.parse(parser)
    warnings.filterwarnings("ignore")  # a kernel that refuses says why, in many lines
    setting = f"mmcv {mmcv.__version__}, embedded Gaussian, autocast for 16 bits"
    report = harness.Report("Attention's kernels in the block", COLUMNS, setting, args)
    grid = product(args.sizes, args.precisions, args.channels, args.batches, args.steps)
    notes: dict[str, None] = {}
    for case in grid:
        notes.update(dict.fromkeys(measure(report, args, *case)))
    report.finish(*notes)
    if any(": fails: " in note for note in notes):
        raise SystemExit(1)


def measure(
    report: harness.Report,
    args: Namespace,
    size: tuple[int, int],
    name: str,
    channels: int,
    batch: int,
    step: str,
) -> list[str]:
    """Add the row of one case; return what was said where it couldn't be measured."""
    how = dict(device=args.device, dtype=PRECISIONS[name] or torch.float32)
    # As behind a convolution, whose output is in autocast's dtype.
    x = torch.rand(batch, 2 * channels, *size, **how, requires_grad=STEPS[step])
    steps: dict[str, harness.Step] = {}
    peaks: dict[str, float] = {}
    refused: dict[str, str] = {}
    notes: list[str] = []
    for way in ("ours", *PEERS):
        block = build(way, channels).to(args.device)
        run = under(name, args.device, harness.pass_of(block, x, STEPS[step]))
        try:
            warm_up = partial(without_gradients, run, block, x)
            start, most = peak_here(lambda _, w=warm_up, r=run: (w, r), args.device)
        except RuntimeError as error:
            refused[way] = why(error, way)
            notes.append(f"{way}: {refused[way]}: {str(error).splitlines()[0]}")
            torch.cuda.empty_cache()
            continue
        steps[way], peaks[way] = run, max(0.0, most - start)
        without_gradients(lambda: None, block, x)
    try:
        seconds = harness.times(steps, args)
    except RuntimeError as error:  # out of memory, with all of them
        return [*notes, f"{size}: fails: {str(error).splitlines()[0]}"]
    positions = f"{size[0] * size[1]:,}"
    cells = [positions, name, str(channels), str(batch), step]
    if "ours" not in steps:
        report.add(*cells, refused["ours"])
        return notes
    cells += [f"{1e3 * statistics.median(seconds['ours']):.2f}", f"{peaks['ours']:.0f}"]
    for peer in PEERS:
        if peer in refused:
            cells += [refused[peer], "-"]
            continue
        memory = f"{peaks['ours'] / peaks[peer]:.2f}" if peaks[peer] else "-"
        cells += [f"{harness.ratio(seconds['ours'], seconds[peer]):.2f}", memory]
    report.add(*cells)
    return notes


def build(way: str, channels: int) -> nn.Module:
    """Return the block of a way, at work."""
    torch.manual_seed(0)
    cls = {"ours": NonLocal2d, "MMCV's": MMCVNonLocal2d}.get(way, OnKernel)
    block = cls(2 * channels, zeros_init=False)
    block.kernel = way
    return block


def only(kernel: str) -> AbstractContextManager:
    """Let PyTorch's attention run this kernel and no other."""
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:
        flags = {flag: name == kernel for name, (_, flag) in KERNELS.items()}
        return torch.backends.cuda.sdp_kernel(**flags)
    return sdpa_kernel([getattr(SDPBackend, KERNELS[kernel][0])])


def under(name: str, device: str, step: harness.Step) -> harness.Step:
    """Return the step in a precision."""

    def run() -> None:
        with precision(name, device):
            step()

    return run


def without_gradients(step: harness.Step, block: nn.Module, x: Tensor) -> None:
    """Run a step, and free the gradients that it left."""
    step()
    x.grad = None
    block.zero_grad()


def why(error: RuntimeError, way: str) -> str:
    """Say in the table why a way can't be measured."""
    if re.search("(?i)out of memory|can't allocate", str(error)):
        return "out of memory"
    return "refuses" if way in KERNELS else "fails"


if __name__ == "__main__":
    main()
