"""What the non-local block adds to Mask R-CNN's inference, and what MMCV's adds.

    python tools/analysis/benchmark_detector.py
    python tools/analysis/benchmark_detector.py --size 480 640 --rounds 15

The model of configs/mask_rcnn_r50_nl.py with random weights finds objects in one random
image: as it is, with a block that isn't sub-sampled, with MMCV's in its place (each
built by the toolbox), and without any. A round runs each once; a row's ratio is the
median over the rounds of its time divided by that of the model without a block.
"""

import argparse
import copy
import statistics
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from rich.table import Table
from timing import machine, rounds
from torch import nn

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_nl.py"


def main() -> None:
    args = parse_args()
    models = build(args.device)
    height, width = args.size
    data = dict(inputs=[torch.randint(0, 256, (3, height, width), dtype=torch.uint8)])
    steps = {name: inference(model, data) for name, model in models.items()}
    seconds = rounds(steps, args.rounds)
    title = (
        f"Mask R-CNN R50, {height} x {width}, {machine(args.device)}, "
        f"torch {torch.__version__}, {args.rounds} rounds"
    )
    table = Table("block in res4", "seconds", "ratio", title=title)
    for name, own in seconds.items():
        ratio = statistics.median(
            a / b for a, b in zip(own, seconds["none"], strict=True)
        )
        table.add_row(name, f"{statistics.median(own):.3f}", f"{ratio:.3f}")
    Console(width=110).print(table)


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
