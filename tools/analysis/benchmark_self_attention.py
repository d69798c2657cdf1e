#!/usr/bin/env python
"""Compare time and peak memory of SelfAttention2d with the straightforward formula.

    tools/analysis/benchmark_self_attention.py --forms quadratic --sizes 50x84

The straightforward one computes the weights of every head for every pair of positions
with PyTorch's own operations and keeps them for the gradients, as the public code of
arXiv 1911.03584 does. A step is a forward and a backward pass, `peak` what it takes
above its input.
"""

from functools import partial
from itertools import product

import torch
from harness import Report, benchmark_parser, beside, parse, pass_times, training_peaks
from torch import Tensor, nn

from nlse_mm.plugins import SelfAttention2d
from nlse_mm.training.user_error import in_one_sentence

ENCODINGS = ("quadratic", "quadratic_full", "learned")
FORMS = {encoding: dict(encoding=encoding) for encoding in ENCODINGS}
FORMS["quadratic, content"] = dict(encoding="quadratic", content=True)
NAMES = OURS, PEER = "SelfAttention2d", "straightforward"
COLUMNS = ["form", "positions", "ms", f"{PEER}'s", "ratio"]
COLUMNS += ["peak MiB", *COLUMNS[3:]]


class Straightforward(nn.Module):
    """The same layer with all weights (N, h, P, P) at once."""

    def __init__(self, layer: SelfAttention2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        means = self.layer.attention(x) @ x.flatten(2).transpose(1, 2)[:, None]
        stacked = means.permute(0, 1, 3, 2).flatten(1, 2).unflatten(2, x.shape[2:])
        return self.layer.value(stacked)


def build(name: str, form: str, channels: int, heads: int) -> nn.Module:
    torch.manual_seed(0)
    layer = SelfAttention2d(channels, channels, num_heads=heads, **FORMS[form])
    return layer if name == OURS else Straightforward(layer)


@in_one_sentence
def main() -> None:
    sizes = ("14x14", "32x32", "50x84", "100x168")
    parser = benchmark_parser(__doc__, rounds=5, sizes=sizes)
    parser.set_defaults(seconds=60.0)
    add = parser.add_argument
    add("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    add("--channels", type=int, default=252)
    add("--heads", type=int, default=9)
    add("--room", type=float, default=10.0, help="GiB that the formula may take (10)")
    args = parse(parser)
    setting = f"{args.channels} channels, {args.heads} heads, batch 1"
    report = Report("SelfAttention2d beside the formula", COLUMNS, setting, args)
    for form, (H, W) in product(args.forms, args.sizes):
        layer, shape = (form, args.channels, args.heads), (1, args.channels, H, W)
        gib = 16 * 4 * args.heads * (H * W) ** 2 / 2**30  # scores, their terms, weights
        names = NAMES if gib < args.room else (OURS,)
        builders = {name: partial(build, name, *layer) for name in names}
        ms = beside(pass_times(builders, shape, args, training=True), NAMES, 1e3)
        if PEER not in names:
            ms[1] = f"needs about {gib:.0f} GiB"
        peak = beside(training_peaks(builders, shape, args), NAMES)
        report.add(form, f"{H * W:,}", *ms, *peak)
    report.finish()


if __name__ == "__main__":
    main()
