#!/usr/bin/env python
"""Time a training step of a backbone with and without measuring its attention.

    tools/analysis/benchmark_attention_hook.py configs/mask_rcnn_r50_nl.py

The step is a forward and a backward pass of the config's backbone; neck, heads and
optimiser come on top in a training, so the share that the hook adds is smaller there.
The two kinds of step are timed in turns.
"""

import argparse
import statistics

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from model_on_pictures import add_config_options
from timing import machine, rounds

from nlse_mm.analysis import AttentionMeter, AttentionStatisticsHook
from nlse_mm.engine.config import load_config
from nlse_mm.engine.user_error import in_one_sentence


class Backbone(BaseModel):
    """The config's backbone, as a model of MMEngine's kind."""

    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)

    def forward(self, inputs: torch.Tensor) -> None:
        data = self.data_preprocessor(dict(inputs=inputs))
        sum(out.mean() for out in self.backbone(data["inputs"])).backward()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("--batch", type=int, default=2, help="pictures (2)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(800, 1344), metavar=("H", "W")
    )
    parser.add_argument("--rounds", type=int, default=5)
    add_config_options(parser)
    return parser.parse_args()


@in_one_sentence
def main() -> None:
    args = parse_args()
    config = load_config(args)
    init_default_scope(config.get("default_scope") or "mmengine")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Backbone(config.model.backbone).to(device)
    hook = AttentionStatisticsHook()
    inputs = torch.rand(args.batch, 3, *args.size, device=device)

    def measured() -> None:
        meter = AttentionMeter(model, hook.queries)
        with meter.measuring():
            model(inputs)

    steps = {"plain": lambda: model(inputs), "measured": measured}
    seconds = rounds(steps, args.rounds)
    plain = statistics.median(seconds["plain"])
    added = statistics.median(
        b - a for a, b in zip(seconds["plain"], seconds["measured"], strict=True)
    )
    print(f"{machine(device)}, torch {torch.__version__}")
    print(f"batch {args.batch}, {args.size[0]} x {args.size[1]}, {args.rounds} rounds")
    print(f"a step: {1e3 * plain:.0f} ms; measuring adds {1e3 * added:.1f} ms to it,")
    share = added / plain / hook.interval
    print(f"{share:.3%} of the training, with one step in {hook.interval} measured")


if __name__ == "__main__":
    main()
