#!/usr/bin/env python
"""Measure what the non-local block adds to Mask R-CNN, and MMCV's.

    tools/analysis/benchmark_detector.py --size 480 640 --rounds 15
    tools/analysis/benchmark_detector.py --device cuda --steps training --amp \
        --channels-last

The model of configs/mask_rcnn_r50_nl.py with random weights finds objects in one random
image: without a block, as it is, with a block that isn't sub-sampled, and with MMCV's
in its place. Or it learns, a forward and a backward pass, from two with 8 objects each.
The ratio, to the model without one, is blurred by a few percent on a shared machine;
the share isn't: the time between the block's start and end divided by that of the rest
of the same inference. It is for CPUs, as on a GPU it would wait within the step, and
the peak of memory, weights included, for GPUs.
"""

import copy
import statistics
from argparse import BooleanOptionalAction
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Report, benchmark_parser, now, parse, ratio, times
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from nlse_mm.analysis.peak_memory import Step, peak_here
from nlse_mm.config_file import read_config
from nlse_mm.toolbox import DETECTION
from nlse_mm.training.user_error import in_one_sentence

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_nl.py"
COLUMNS = ("block in res4", "seconds", "ratio", "block, ms", "share", "peak MiB")
BLOCKS = {  # changes to the config's plugin
    "none": None,
    "ours, sub-sampled": dict(),
    "ours": dict(sub_sample=False),
    "MMCV's": dict(type="NonLocal2d", sub_sample=False),
}


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=11, size=(800, 1333))
    add = parser.add_argument
    add("--steps", nargs="+", choices=STEPS, default=["inference"])
    amp = "float16 autocast, as the toolbox trains; on a GPU"
    add("--amp", action=BooleanOptionalAction, default=False, help=amp)
    add("--channels-last", action="store_true")
    args = parse(parser)
    if args.amp and args.device == "cpu":
        parser.error("--amp: MMCV's nms for the CPU takes no float16; --device cuda")
    models = build(args.device)
    if args.channels_last:
        for model in models.values():
            model.to(memory_format=torch.channels_last)
    is_cpu = args.device == "cpu"
    blocks = {n: stopwatch(m) if is_cpu else [] for n, m in models.items()}
    layout = ", channels last" if args.channels_last else ""
    dtype = "float16 autocast" if args.amp else "float32"
    setting = "{} x {}, {}{}".format(*args.size, dtype, layout)
    report = Report("Mask R-CNN R50 with a block", COLUMNS, setting, args)
    for name in args.steps:
        steps = {n: in_half(STEPS[name](m, args.size), args) for n, m in models.items()}
        peaks = {} if is_cpu else {n: peak(step) for n, step in steps.items()}
        seconds = times(steps, args)
        for block, own in seconds.items():
            row = f"{block}, {name}"
            cells = [f"{statistics.median(own):.3f}"]
            cells += [f"{ratio(own, seconds['none']):.3f}"]
            cells += shares(
                own, blocks[block][-len(own) :] if name == "inference" else []
            )
            report.add(row, *cells, f"{peaks[block]:.0f}" if peaks else "")
    report.finish()


def in_half(step: Step, args: Any) -> Step:
    """Return the step under autocast, if that was asked for."""

    def run() -> None:
        with torch.autocast(args.device, torch.float16, enabled=args.amp):
            step()

    return run


def peak(step: Step) -> float:
    """Return the MiB that PyTorch holds at most in a step on a GPU."""
    return peak_here(lambda _: (step, step), "cuda")[1]


def shares(own: list[float], block: list[float]) -> list[str]:
    """Return the block's milliseconds, and its share of the rest of an inference."""
    if not block:
        return ["", ""]
    rest = [whole - part for whole, part in zip(own, block, strict=True)]
    return [f"{1e3 * statistics.median(block):.0f}", f"{ratio(block, rest):.3f}"]


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


def stopwatch(model: nn.Module) -> list[float]:
    """Return what will hold the seconds of each pass of the model's non-local block."""
    started, seconds = [], []
    for path, block in model.named_modules():
        if path.endswith(".nonlocal_block"):
            block.register_forward_pre_hook(lambda *_: started.append(now("cpu")))
            block.register_forward_hook(
                lambda *_: seconds.append(now("cpu") - started.pop())
            )
    return seconds


def inference(model: nn.Module, size: tuple[int, int]) -> Step:
    """Return a step that finds objects in one image."""
    image, sample = image_of(size)

    @torch.no_grad()
    def step() -> None:
        model.eval()
        model.test_step(dict(inputs=[image], data_samples=[sample.clone()]))

    return step


def training(model: nn.Module, size: tuple[int, int]) -> Step:
    """Return a forward and a backward pass of two images with 8 objects each."""
    pairs = [image_of(size) for _ in range(2)]
    for _, sample in pairs:
        sample.gt_instances = objects(size)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))

    def step() -> None:
        model.train()
        model.zero_grad()
        images, samples = zip(
            *((x, sample.clone()) for x, sample in pairs), strict=True
        )
        data = dict(inputs=list(images), data_samples=list(samples))
        losses = model(**model.data_preprocessor(data, training=True), mode="loss")
        model.parse_losses(losses)[0].backward()

    return step


STEPS: dict[str, Callable[[nn.Module, tuple[int, int]], Step]] = {
    "inference": inference,
    "training": training,
}


def image_of(size: tuple[int, int]) -> tuple[torch.Tensor, Any]:
    """Return a random image, and a sample that says how large it is."""
    metainfo = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    sample = DETECTION.module("structures").DetDataSample(metainfo=metainfo)
    return torch.randint(0, 256, (3, *size), dtype=torch.uint8), sample


def objects(size: tuple[int, int]) -> InstanceData:
    """Return 8 objects, each a quarter of the image each way, filled by its mask."""
    height, width = size
    masks = np.zeros((8, height, width), np.uint8)
    boxes = []
    for mask, at in zip(masks, np.linspace(0, 0.75, 8), strict=True):
        top, left = int(at * height), int(at * width)
        mask[top : top + height // 4, left : left + width // 4] = 1
        boxes.append([left, top, left + width // 4, top + height // 4])
    bitmaps = DETECTION.module("structures.mask").BitmapMasks(masks, height, width)
    truth = dict(bboxes=torch.tensor(boxes).float(), labels=torch.arange(8))
    return InstanceData(**truth, masks=bitmaps)


if __name__ == "__main__":
    main()
