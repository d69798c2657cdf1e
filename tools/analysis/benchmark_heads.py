#!/usr/bin/env python
"""Compare time and memory of our NLHead with MMSegmentation's attention heads.

    tools/analysis/benchmark_heads.py --sizes 1024x2048 --heads fcn nl --memory-limit 11

Inference of MMSegmentation's Cityscapes models, R50 at stride 8, one image, fp32, one
thread. `peak` is all that the process with this model held, `x FCN` that over plain
FCN's, `head` the time of the head alone, the least of the rounds (on a CPU the
processor's time: other jobs don't lengthen it), `over FCN` head less FCN's head. Below
the table is where ours and the stock NLHead, with the same weights, disagree.
"""

import re
import resource
import time
import warnings
from argparse import Namespace
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import torch
from harness import Report, Shape, benchmark_parser, parse, times
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from nlse_mm.analysis.peak_memory import Steps, peak_mib
from nlse_mm.analysis.random_weights import fill_with_random_weights
from nlse_mm.toolbox import SEGMENTATION
from nlse_mm.training.user_error import in_one_sentence

HEADS = {  # title; the config's folder, and its file's first word
    "fcn": ("FCN", "fcn/fcn"),
    "nl": ("NLHead (ours)", "nonlocal_net/nonlocal"),
    "stock_nl": ("NLHead (stock)", "nonlocal_net/nonlocal"),
    "cc": ("CCHead", "ccnet/ccnet"),
    "ann": ("ANNHead", "ann/ann"),
    "ema": ("EMAHead", "emanet/emanet"),
    "gc": ("GCHead", "gcnet/gcnet"),
    "dnl": ("DNLHead", "dnlnet/dnl"),
}
COLUMNS = ("size", "head", "peak MiB", "x FCN", "head ms", "over FCN ms")
SIZES = ("512x1024", "769x769", "1024x2048")


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3, sizes=SIZES)
    add = parser.add_argument
    add("--heads", nargs="+", choices=HEADS, default=list(HEADS), metavar="HEAD")
    add("--memory-limit", type=float, help="GiB of address space a process may have")
    parser.set_defaults(threads=1)
    args = parse(parser)
    warnings.filterwarnings("ignore")
    report = Report("Attention heads", COLUMNS, "batch 1, fp32", args)
    notes = [note for size in args.sizes if (note := measure(report, size, args))]
    report.finish(*notes)


@torch.no_grad()
def measure(report: Report, size: Shape, args: Namespace) -> str:
    """Add the rows of one size; return how our head differs from the stock one."""
    peak = {head: peak_or_none(head, size, args) for head in args.heads}
    built = {head: build(head, size, args.device) for head in args.heads if peak[head]}
    models = {head: model for head, (model, _) in built.items()}
    features: tuple[Tensor, ...] = ()
    for model, image in built.values():  # one backbone's are all of them's
        features = features or model.backbone(image)
    steps = {h: partial(model.decode_head, features) for h, model in models.items()}
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    ms = {head: 1e3 * min(own) for head, own in times(steps, args, clock).items()}
    for head, mib in peak.items():
        cells = ["out of memory"]
        if mib:
            share = f"{mib / peak['fcn']:.2f}" if "fcn" in ms else ""
            over = f"{ms[head] - ms['fcn']:.0f}" if "fcn" in ms else ""
            cells = [f"{mib:.0f}", share, f"{ms[head]:.0f}", over]
        report.add("{}x{}".format(*size), HEADS[head][0], *cells)
    if not {"nl", "stock_nl"} <= models.keys():
        return ""
    ours, stock = (
        models[head].decode_head.predict(features, [dict(img_shape=size)], {})
        for head in ("nl", "stock_nl")
    )
    error = (ours - stock).abs().max() / stock.abs().max()
    masks = ours.argmax(1), stock.argmax(1)
    return (
        f"{size}: logits of ours and the stock NLHead differ by at most {error:.1e} of "
        f"the largest; masks in {(masks[0] != masks[1]).sum()} of {masks[1].numel()} "
        f"pixels, of {len(masks[1].unique())} classes."
    )


def peak_or_none(head: str, size: Shape, args: Namespace) -> float | None:
    """Return the MiB at the peak of an inference; None where memory didn't suffice."""
    try:
        return peak_mib(prepare, args.device, head, size, args.memory_limit)[1]
    except (BrokenProcessPool, MemoryError):  # the former is the kernel's doing
        return None
    except RuntimeError as error:
        if re.search("(?i)alloc|out of memory", str(error)):
            return None
        raise


def prepare(device: str, head: str, size: Shape, gib: float | None) -> Steps:
    """Return no step that warms up, and an inference from the image to the mask."""
    if gib:
        resource.setrlimit(resource.RLIMIT_AS, (int(gib * 2**30),) * 2)
    model, image = build(head, size, device)

    @torch.no_grad()
    def step() -> None:
        model.encode_decode(image, [dict(img_shape=size)]).argmax(1)

    return lambda: None, step


def build(head: str, size: Shape, device: str) -> tuple[nn.Module, Tensor]:
    """Return the model, weights depending on their names only, and its image."""
    scope, path = SEGMENTATION.scope, HEADS[head][1]
    config = get_config(f"{scope}::{path}_r50-d8_4xb2-80k_cityscapes-512x1024.py")
    config.model.pretrained = config.model.auxiliary_head = None
    if head == "nl":
        config.model.decode_head.type = "nlse_mm.NLHead"
    with DefaultScope.overwrite_default_scope(scope):
        model = revert_sync_batchnorm(MODELS.build(config.model)).eval()
    fill_with_random_weights(model)
    torch.manual_seed(0)
    return model.to(device), torch.randn(1, 3, *size).to(device)


if __name__ == "__main__":
    main()
