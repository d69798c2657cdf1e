"""What the non-local block adds to Mask R-CNN's inference, and what MMCV's adds.

    python tools/analysis/benchmark_detector.py
    python tools/analysis/benchmark_detector.py --size 480 640 --rounds 15

The model of configs/mask_rcnn_r50_nl.py with random weights finds objects in one random
image: as it is, with a block that isn't sub-sampled, with MMCV's in its place (each
built by the toolbox), and without any. A round runs each once. A row's ratio is the
median over the rounds of its time divided by that of the model without a block, which
the noise of a shared machine blurs by a few percent; its share is the time between the
block's start and end divided by that of the rest of the same inference, which it
doesn't.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from rich.table import Table
from timing import machine, rounds, synchronize
from torch import nn

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_nl.py"


def main() -> None:
    args = parse_args()
    models = build(args.device)
    height, width = args.size
    data = dict(inputs=[torch.randint(0, 256, (3, height, width), dtype=torch.uint8)])
    stopwatches = {name: Stopwatch(block) for name, block in blocks(models)}
    steps = {name: inference(model, data) for name, model in models.items()}
    seconds = rounds(steps, args.rounds)
    title = (
        f"Mask R-CNN R50, {height} x {width}, {machine(args.device)}, "
        f"torch {torch.__version__}, {args.rounds} rounds"
    )
    table = Table(
        "block in res4", "seconds", "ratio", "block, ms", "share", title=title
    )
    for name, own in seconds.items():
        ratio = statistics.median(
            a / b for a, b in zip(own, seconds["none"], strict=True)
        )
        row = [name, f"{statistics.median(own):.3f}", f"{ratio:.3f}"]
        if name in stopwatches:
            block = stopwatches[name].seconds[-len(own) :]
            share = statistics.median(
                b / (all_ - b) for b, all_ in zip(block, own, strict=True)
            )
            row += [f"{1e3 * statistics.median(block):.0f}", f"{share:.3f}"]
        table.add_row(*row)
    Console(width=110).print(table)


class Stopwatch:
    """The seconds of each of a module's forward passes."""

    def __init__(self, module: nn.Module):
        self.seconds = []
        module.register_forward_pre_hook(self._start)
        module.register_forward_hook(self._stop)

    def _start(self, *_) -> None:
        synchronize()
        self._started = time.perf_counter()

    def _stop(self, *_) -> None:
        synchronize()
        self.seconds.append(time.perf_counter() - self._started)


def blocks(models: dict[str, nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """The non-local block of each model that has one."""
    for name, model in models.items():
        for path, module in model.named_modules():
            if path.endswith(".nonlocal_block"):
                yield name, module


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=(800, 1333), metavar=("H", "W")
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args()


def build(device: str) -> dict[str, nn.Module]:
    """The models by the name of their block; all other weights are the same."""
    config = Config.fromfile(CONFIG)
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    models = {}
    for name, changes in {
        "none": None,
        "ours, sub-sampled": dict(),
        "ours": dict(sub_sample=False),
        "MMCV's": dict(type="NonLocal2d", sub_sample=False),
    }.items():
        cfg = copy.deepcopy(config.model)
        change(cfg.backbone, changes)
        torch.manual_seed(0)
        models[name] = MODELS.build(cfg).eval().to(device)
    stock = models["none"].state_dict()
    for model in models.values():
        model.load_state_dict(stock, strict=False)
    return models


def change(backbone: ConfigDict, changes: dict | None) -> None:
    if changes is None:
        del backbone["plugins"]
    else:
        backbone.plugins[0].cfg.update(changes)


def inference(model: nn.Module, data: dict):
    from mmdet.structures import DetDataSample

    shape = data["inputs"][0].shape[1:]
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
    )

    def step() -> None:
        with torch.no_grad():
            model.test_step(dict(data, data_samples=[sample.clone()]))

    return step


if __name__ == "__main__":
    main()
