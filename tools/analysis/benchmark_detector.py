#!/usr/bin/env python
"""Measure what the non-local block adds to Mask R-CNN's inference, and MMCV's.

    tools/analysis/benchmark_detector.py
    tools/analysis/benchmark_detector.py --size 480 640 --rounds 15

The model of configs/mask_rcnn_r50_nl.py with random weights finds objects in one random
image: as it is, with a block that isn't sub-sampled, with MMCV's in its place (each
built by the toolbox), and without any. A round runs each once. A row's ratio is the
median over the rounds of its time divided by that of the model without a block, which
the noise of a shared machine blurs by a few percent; its share is the time between the
block's start and end divided by that of the rest of the same inference, which it
doesn't.
"""

import copy
import statistics
from pathlib import Path

import torch
from benchmark_report import Report
from harness import Step, benchmark_parser, parse, ratio, times
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.utils.benchmark import timer

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_nl.py"
COLUMNS = ("block in res4", "seconds", "ratio", "block, ms", "share")
BLOCKS = {  # changes to the config's plugin
    "none": None,
    "ours, sub-sampled": dict(),
    "ours": dict(sub_sample=False),
    "MMCV's": dict(type="NonLocal2d", sub_sample=False),
}


def main() -> None:
    args = parse(benchmark_parser(__doc__, rounds=11, size=(800, 1333)))
    models = build(args.device)
    stopwatches = {name: Stopwatch(model) for name, model in models.items()}
    image = torch.randint(0, 256, (3, *args.size), dtype=torch.uint8)
    seconds = times({n: inference(m, image) for n, m in models.items()}, args)
    setting = "{} x {}".format(*args.size)
    report = Report("Mask R-CNN R50's inference", args, __doc__, COLUMNS, setting)
    for name, own in seconds.items():
        cells = [f"{statistics.median(own):.3f}", f"{ratio(own, seconds['none']):.3f}"]
        if block := stopwatches[name].seconds[-len(own) :]:
            rest = [whole - part for whole, part in zip(own, block, strict=True)]
            cells += [f"{1e3 * statistics.median(block):.0f}"]
            cells += [f"{ratio(block, rest):.3f}"]
        report.add(name, *cells)
    report.finish()


class Stopwatch:
    """The seconds of each forward pass of a model's non-local block, if it has one."""

    def __init__(self, model: nn.Module):
        self.seconds = []
        for path, module in model.named_modules():
            if path.endswith(".nonlocal_block"):
                module.register_forward_pre_hook(self._start)
                module.register_forward_hook(self._stop)

    def _start(self, *_) -> None:
        self._started = timer()

    def _stop(self, *_) -> None:
        self.seconds.append(timer() - self._started)


def build(device: str) -> dict[str, nn.Module]:
    """The models by the name of their block; all other weights are the same."""
    config = Config.fromfile(CONFIG)
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    models = {}
    for name, changes in BLOCKS.items():
        cfg = copy.deepcopy(config.model)
        if changes is None:
            del cfg.backbone["plugins"]
        else:
            cfg.backbone.plugins[0].cfg.update(changes)
        torch.manual_seed(0)
        models[name] = MODELS.build(cfg).eval().to(device)
    stock = models["none"].state_dict()
    for model in models.values():
        model.load_state_dict(stock, strict=False)
    return models


def inference(model: nn.Module, image: torch.Tensor) -> Step:
    from mmdet.structures import DetDataSample

    shape = dict(img_shape=image.shape[1:], ori_shape=image.shape[1:])
    sample = DetDataSample(metainfo=dict(shape, scale_factor=(1.0, 1.0)))

    def step() -> None:
        with torch.no_grad():
            model.test_step(dict(inputs=[image], data_samples=[sample.clone()]))

    return step


if __name__ == "__main__":
    main()
