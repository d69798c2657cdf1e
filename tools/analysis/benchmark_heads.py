#!/usr/bin/env python
"""Compare time and memory of our NLHead with MMSegmentation's attention heads.

    tools/analysis/benchmark_heads.py
    tools/analysis/benchmark_heads.py --sizes 1024x2048 --heads fcn nl stock_nl
    tools/analysis/benchmark_heads.py --memory-limit 11

Inference of MMSegmentation's Cityscapes models, R50 at stride 8, one image, fp32, one
thread. `peak` is the most memory that a process with this model alone held (on a GPU:
that PyTorch did), `x FCN` peak over that of plain FCN, `head` the time of the head
alone, the least of the rounds, in which the heads take turns (on a CPU the processor's
time: other jobs on the machine don't lengthen it), `over FCN` head less FCN's head.
Below the table is where ours and the stock NLHead, with the same weights, disagree.
"""

import argparse
import resource
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from zlib import crc32

import torch
from benchmark_report import Report
from harness import Step, benchmark_parser, parse, peak_mib, times
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.utils.benchmark import timer

HEADS = {  # title; the folder of MMSegmentation's configs, and the file's first word
    "fcn": ("FCN", "fcn", "fcn"),
    "nl": ("NLHead (ours)", "nonlocal_net", "nonlocal"),
    "stock_nl": ("NLHead (stock)", "nonlocal_net", "nonlocal"),
    "cc": ("CCHead", "ccnet", "ccnet"),
    "ann": ("ANNHead", "ann", "ann"),
    "ema": ("EMAHead", "emanet", "emanet"),
    "gc": ("GCHead", "gcnet", "gcnet"),
    "dnl": ("DNLHead", "dnlnet", "dnl"),
}
COLUMNS = ("size", "head", "peak MiB", "x FCN", "head ms", "over FCN ms")
SIZES = ("512x1024", "769x769", "1024x2048")


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3, sizes=SIZES)
    add = parser.add_argument
    add("--heads", nargs="+", choices=HEADS, default=list(HEADS), metavar="HEAD")
    add("--memory-limit", type=float, help="GiB of address space a process may have")
    parser.set_defaults(threads=1)
    args = parse(parser)
    warnings.filterwarnings("ignore")
    report = Report("Attention heads", args, __doc__, COLUMNS, "batch 1, fp32")
    notes = [note for size in args.sizes if (note := measure(report, size, args))]
    report.finish(*notes)


@torch.no_grad()
def measure(report: Report, size: tuple[int, int], args: argparse.Namespace) -> str:
    """Add the rows of one size; return how our head differs from the stock one."""
    peak = {head: peak_or_none(head, size, args) for head in args.heads}
    models = {head: build(head, args.device) for head, mib in peak.items() if mib}
    image = random_image(size, args.device)
    features = {}  # of the one backbone that all models have
    for model in models.values():
        features = features or model.backbone(image)
    steps = {
        head: lambda model=model: model.decode_head(features)
        for head, model in models.items()
    }
    clock = timer if args.device == "cuda" else time.process_time
    seconds = times(steps, args, clock)
    ms = {head: 1e3 * min(own) for head, own in seconds.items()}
    for head in args.heads:
        cells = ["out of memory", "", "", ""]
        if peak[head]:
            over = f"{ms[head] - ms['fcn']:.0f}" if "fcn" in ms else ""
            share = f"{peak[head] / peak['fcn']:.2f}" if "fcn" in ms else ""
            cells = [f"{peak[head]:.0f}", share, f"{ms[head]:.0f}", over]
        report.add("{}x{}".format(*size), HEADS[head][0], *cells)
    if not {"nl", "stock_nl"} <= models.keys():
        return ""
    outputs = [predict(models[name], features, size) for name in ("nl", "stock_nl")]
    return differences(*outputs)


def peak_or_none(
    head: str, size: tuple[int, int], args: argparse.Namespace
) -> float | None:
    """MiB at the peak of an inference; None where memory didn't suffice."""
    prepared = (prepare, head, size, args.device, args.memory_limit)
    try:
        return peak_mib(*prepared, device=args.device)[1]
    except BrokenProcessPool:  # the kernel's doing
        return None
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "alloc" in str(error).lower():
            return None
        if "out of memory" in str(error):
            return None
        raise


def prepare(
    head: str, size: tuple[int, int], device: str, gib: float | None
) -> tuple[Step, Step]:
    """Return no step that warms up, and an inference from the image to the mask."""
    if gib:
        limit = int(gib * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    model = build(head, device)
    image = random_image(size, device)

    @torch.no_grad()
    def step() -> None:
        predict(model, model.backbone(image), size)

    return lambda: None, step


def random_image(size: tuple[int, int], device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 3, *size, generator=generator).to(device)


def predict(
    model: nn.Module, features: tuple[Tensor, ...], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Logits of the head, and the mask (1, H, W) that the model makes of them."""
    logits = model.decode_head(features)
    shape = dict(img_shape=size)
    return logits, model.decode_head.predict_by_feat(logits, [shape]).argmax(1)


def build(head: str, device: str) -> nn.Module:
    """The model, with weights that depend on the names of its parameters only."""
    _, folder, word = HEADS[head]
    name = f"{word}_r50-d8_4xb2-80k_cityscapes-512x1024.py"
    config = get_config(f"mmseg::{folder}/{name}")
    config.model.pretrained = config.model.auxiliary_head = None
    if head == "nl":
        config.model.decode_head.type = "nlse_mm.NLHead"
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = revert_sync_batchnorm(MODELS.build(config.model)).eval()
    for name, parameter in model.named_parameters():
        torch.manual_seed(crc32(name.encode()))
        if parameter.ndim > 1:
            # Activations stay within an order of magnitude through R50's 16 blocks.
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
        elif name.endswith("weight"):  # norms, and a block's zero-initialised one too
            nn.init.ones_(parameter)
        else:
            nn.init.zeros_(parameter)
    return model.to(device)


def differences(ours: tuple[Tensor, Tensor], stock: tuple[Tensor, Tensor]) -> str:
    error = (ours[0] - stock[0]).abs().max() / stock[0].abs().max()
    wrong = (ours[1] != stock[1]).sum()
    return (
        f"{tuple(stock[1].shape[1:])}: logits of ours and the stock NLHead differ by "
        f"at most {error:.1e} of the largest; masks in {wrong} of {stock[1].numel()} "
        f"pixels, of {len(stock[1].unique())} classes."
    )


if __name__ == "__main__":
    main()
