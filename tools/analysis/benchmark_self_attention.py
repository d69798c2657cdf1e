#!/usr/bin/env python
"""Compare time and peak memory of SelfAttention2d with the straightforward formula.

    tools/analysis/benchmark_self_attention.py
    tools/analysis/benchmark_self_attention.py --forms quadratic --sizes 50x84

The straightforward one computes the weights of every head for every pair of positions
with PyTorch's own operations and keeps them for the gradients, as the public code of
arXiv 1911.03584 does. Time is that of a forward and backward pass, each round one after
the other; a ratio is the median over the rounds. Peak memory is that of one pass above
its input, in a process of its own.
"""

import argparse

import torch
from benchmark_report import Report
from harness import benchmark_parser, beside, parse, training_costs
from torch import nn

from nlse_mm.plugins import SelfAttention2d

FORMS = {
    "quadratic": dict(encoding="quadratic"),
    "quadratic_full": dict(encoding="quadratic_full"),
    "learned": dict(encoding="learned"),
    "quadratic, content": dict(encoding="quadratic", content=True),
}
COLUMNS = ["form", "positions", "ms", "straightforward's", "ratio", "peak MiB"]
COLUMNS += COLUMNS[3:5]
OURS, PEER = "SelfAttention2d", "straightforward"


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
    sizes = ("14x14", "32x32", "50x84", "100x168")
    parser = benchmark_parser(__doc__, rounds=5, seconds=60.0, sizes=sizes)
    add = parser.add_argument
    add("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    add("--channels", type=int, default=252)
    add("--heads", type=int, default=9)
    add("--room", type=float, default=10.0, help="GiB that the formula may take (10)")
    args = parse(parser)
    setting = f"{args.channels} channels, {args.heads} heads, batch 1"
    report = Report(
        "SelfAttention2d beside the formula", args, __doc__, COLUMNS, setting
    )
    for form in args.forms:
        for size in args.sizes:
            measure(report, form, size, args)
    report.finish()


def measure(
    report: Report, form: str, size: tuple[int, int], args: argparse.Namespace
) -> None:
    positions = size[0] * size[1]
    gib = 16 * 4 * args.heads * positions**2 / 2**30  # scores, their terms, weights
    names = [OURS, PEER] if gib < args.room else [OURS]
    layers = {name: (name, form, args.channels, args.heads) for name in names}
    shape = (1, args.channels, *size)
    seconds, peak = training_costs(build, layers, shape, args)
    cells = [form, f"{positions:,}"]
    cells += beside(seconds[OURS], seconds.get(PEER, []), 1e3)
    cells += beside(peak[OURS], peak.get(PEER, []))
    if PEER not in layers:
        cells[3] = f"needs about {gib:.0f} GiB"
    report.add(*cells)


def build(name: str, form: str, channels: int, heads: int) -> nn.Module:
    torch.manual_seed(0)
    layer = SelfAttention2d(channels, channels, num_heads=heads, **FORMS[form])
    return layer if name == OURS else Straightforward(layer)


if __name__ == "__main__":
    main()
