#!/usr/bin/env python
"""Time a training step of a backbone with and without measuring its attention.

    tools/analysis/benchmark_attention_hook.py configs/mask_rcnn_r50_nl.py

The step is a forward and a backward pass of the config's backbone; neck, heads and
optimiser come on top in a training, so the share that the hook adds is smaller there.
The two kinds of step are timed in turns; what measuring adds is the median over the
rounds of their difference.
"""

import statistics

import torch
from arguments import add_cfg_options
from benchmark_report import Report
from harness import benchmark_parser, parse, times
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope

from nlse_mm.analysis import AttentionMeter, AttentionStatisticsHook
from nlse_mm.training.config import load_config
from nlse_mm.training.user_error import in_one_sentence

COLUMNS = ("step, ms", "measuring adds, ms", "interval", "share of the training")


class Backbone(BaseModel):
    """The config's backbone, as a model of MMEngine's kind."""

    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)

    def forward(self, inputs: torch.Tensor) -> None:
        data = self.data_preprocessor(dict(inputs=inputs))
        sum(out.mean() for out in self.backbone(data["inputs"])).backward()


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5, size=(800, 1344))
    parser.add_argument("config")
    parser.add_argument("--batch", type=int, default=2, help="images (2)")
    add_cfg_options(parser)
    args = parse(parser)
    config = load_config(args)
    init_default_scope(config.get("default_scope") or "mmengine")
    model = Backbone(config.model.backbone).to(args.device)
    hook = AttentionStatisticsHook()
    inputs = torch.rand(args.batch, 3, *args.size, device=args.device)

    def measured() -> None:
        with AttentionMeter(model, hook.queries).measuring():
            model(inputs)

    seconds = times(dict(plain=lambda: model(inputs), measured=measured), args)
    pairs = zip(*seconds.values(), strict=True)
    added = statistics.median(with_it - without for without, with_it in pairs)
    plain = statistics.median(seconds["plain"])
    share = f"{added / plain / hook.interval:.3%}"
    setting = "batch {}, {} x {}".format(args.batch, *args.size)
    report = Report("Measuring attention", args, __doc__, COLUMNS, setting)
    report.add(f"{1e3 * plain:.0f}", f"{1e3 * added:.1f}", str(hook.interval), share)
    report.finish(
        f"{share} of the training, with one step in {hook.interval} measured."
    )


if __name__ == "__main__":
    main()
