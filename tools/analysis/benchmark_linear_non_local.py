#!/usr/bin/env python
"""Compare models with MMCV's non-local block before and after it is converted.

The part with the block, on what it gets: Libra R-CNN's BFP neck (stride 16 of an 800 x
1333 image), MMSegmentation's non-local head (stride 8 of 512 x 1024), and a NonLocal3d
(res3 of 32 frames). A step is a forward and a backward pass, `peak` above its input.
"""

import logging
from functools import partial
from typing import Any

import mmcv
import torch.nn.functional as F
from harness import Report, benchmark_parser, beside, parse, pass_times, training_peaks
from mmcv.cnn import NonLocal3d
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

import nlse_mm
from nlse_mm.toolbox import DETECTION, SEGMENTATION, Toolbox
from nlse_mm.training.user_error import in_one_sentence

LIBRA = "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py"
NON_LOCAL = "nonlocal_net/nonlocal_r50-d8_4xb2-40k_cityscapes-512x1024.py"
NECK, HEAD, FRAMES = "BFP neck", "non-local head", 8
SHAPES = {NECK: (1, 256, 50, 84), HEAD: (1, 2048, 64, 128)}
SHAPES |= {"NonLocal3d": (1, 512, FRAMES * 28, 28)}
NAMES = OURS, PEER = "converted", "MMCV's"
COLUMNS = ["part", "positions", "ms", PEER, "ratio", "peak MiB", PEER, "ratio"]


class Part(nn.Module):
    """Hand a part of a model the maps that it wants, made from one."""

    def __init__(self, way: str, name: str) -> None:
        super().__init__()
        logging.disable(logging.INFO)  # of the small input that warms up
        self.name, self.part = name, NonLocal3d(SHAPES[name][1])
        if name == NECK:
            self.part = model_of(DETECTION, LIBRA).neck[1]
        elif name == HEAD:
            self.part = model_of(SEGMENTATION, NON_LOCAL).decode_head
        if way == OURS:
            nlse_mm.use_linear_non_local(self)

    def forward(self, x: Tensor) -> Any:
        if self.name == HEAD:
            return self.part([x] * 4)  # of which it takes the last
        if self.name == NECK:  # strides 4 to 64
            scales = (4, 2, 1, 0.5, 0.25)
            return self.part([F.interpolate(x, scale_factor=s) for s in scales])
        return self.part(x.unflatten(2, (FRAMES, -1)))


def model_of(toolbox: Toolbox, path: str) -> nn.Module:
    config = get_config(f"{toolbox.scope}::{path}").model
    with DefaultScope.overwrite_default_scope(toolbox.scope):
        return revert_sync_batchnorm(MODELS.build(config))


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--parts", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.set_defaults(seconds=60.0)
    args = parse(parser)
    report = Report("Converted blocks", COLUMNS, f"mmcv {mmcv.__version__}", args)
    for name in args.parts:
        builders, shape = {way: partial(Part, way, name) for way in NAMES}, SHAPES[name]
        ms = beside(pass_times(builders, shape, args, training=True), NAMES, 1e3)
        peak = beside(training_peaks(builders, shape, args), NAMES)
        report.add(name, f"{shape[2] * shape[3]:,}", *ms, *peak)
    report.finish()


if __name__ == "__main__":
    main()
