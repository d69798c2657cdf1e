#!/usr/bin/env python
"""Measure what the non-local block adds to Mask R-CNN's inference, and MMCV's.

    tools/analysis/benchmark_detector.py --size 480 640 --rounds 15

The model of configs/mask_rcnn_r50_nl.py with random weights finds objects in one random
image: without a block, as it is, with a block that isn't sub-sampled, and with MMCV's
in its place. The ratio, to the model without one, is blurred by a few percent on a
shared machine; the share isn't: the time between the block's start and end divided by
that of the rest of the same inference.
"""

import copy
import statistics
from pathlib import Path

import torch
from harness import Report, Step, benchmark_parser, now, parse, ratio, times
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from nlse_mm.config_file import read_config
from nlse_mm.toolbox import DETECTION
from nlse_mm.training.user_error import in_one_sentence

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_nl.py"
COLUMNS = ("block in res4", "seconds", "ratio", "block, ms", "share")
BLOCKS = {  # changes to the config's plugin
    "none": None,
    "ours, sub-sampled": dict(),
    "ours": dict(sub_sample=False),
    "MMCV's": dict(type="NonLocal2d", sub_sample=False),
}


@in_one_sentence
def main() -> None:
    args = parse(benchmark_parser(__doc__, rounds=11, size=(800, 1333)))
    models = build(args.device)
    blocks = {name: stopwatch(model, args.device) for name, model in models.items()}
    image = torch.randint(0, 256, (3, *args.size), dtype=torch.uint8)
    seconds = times({n: inference(m, image) for n, m in models.items()}, args)
    setting = "{} x {}".format(*args.size)
    report = Report("Mask R-CNN R50's inference", COLUMNS, setting, args)
    for name, own in seconds.items():
        cells = [f"{statistics.median(own):.3f}", f"{ratio(own, seconds['none']):.3f}"]
        if block := blocks[name][-len(own) :]:
            rest = [whole - part for whole, part in zip(own, block, strict=True)]
            share = f"{ratio(block, rest):.3f}"
            cells += [f"{1e3 * statistics.median(block):.0f}", share]
        report.add(name, *cells)
    report.finish()


def build(device: str) -> dict[str, nn.Module]:
    """Return the models by the name of their block; all other weights are the same."""
    config = read_config(CONFIG)
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    models: dict[str, nn.Module] = {}
    for name, changes in BLOCKS.items():
        cfg = copy.deepcopy(config.model)
        if changes is None:
            del cfg.backbone["plugins"]
        else:
            cfg.backbone.plugins[0].cfg.update(changes)
        torch.manual_seed(0)
        models[name] = MODELS.build(cfg).eval().to(device)
        models[name].load_state_dict(models["none"].state_dict(), strict=False)
    return models


def stopwatch(model: nn.Module, device: str) -> list[float]:
    """Return what will hold the seconds of each pass of the model's non-local block."""
    started, seconds = [], []
    for path, block in model.named_modules():
        if path.endswith(".nonlocal_block"):
            block.register_forward_pre_hook(lambda *_: started.append(now(device)))
            block.register_forward_hook(
                lambda *_: seconds.append(now(device) - started.pop())
            )
    return seconds


def inference(model: nn.Module, image: torch.Tensor) -> Step:
    shape = dict(img_shape=image.shape[1:], ori_shape=image.shape[1:])
    metainfo = dict(shape, scale_factor=(1.0, 1.0))
    sample = DETECTION.module("structures").DetDataSample(metainfo=metainfo)

    @torch.no_grad()
    def step() -> None:
        model.test_step(dict(inputs=[image], data_samples=[sample.clone()]))

    return step


if __name__ == "__main__":
    main()
