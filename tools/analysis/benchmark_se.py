#!/usr/bin/env python
"""Compare the time of SE-ResNet-50 with ResNet-50, and of timm's pair.

    tools/analysis/benchmark_se.py --batch 8 --size 224 224
    tools/analysis/benchmark_se.py --batch 1 --size 800 1333
    tools/analysis/benchmark_se.py --batch 64 --size 224 224 --device cuda

One round times a step of every network, one after the other, so that whatever slows the
machine slows all; a row's ratio is the median over the rounds of its time divided by
its baseline's in the same round. A training step is a forward pass in training mode and
a backward pass from the four outputs. On a GPU the networks run channels-last in
bfloat16 autocast. `plain` is the same SE-ResNet without the fused end of its blocks;
timm's networks take part where timm can be imported.
"""

import argparse
import statistics

import torch
from benchmark_report import Report
from harness import benchmark_parser, inference_step, parse, ratio, times, training_step
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from nlse_mm.plugins import SELayer

STEPS = {"training": training_step, "inference": inference_step}


def main() -> None:
    args = parse_args()
    DefaultScope.get_instance("benchmark_se", scope_name=args.toolbox)
    layout = torch.contiguous_format
    if args.device == "cuda":
        layout = torch.channels_last
    networks = {}
    for name, (network, baseline) in build(args.toolbox).items():
        network = network.to(args.device, memory_format=layout)
        networks[name] = torch.compile(network) if args.compile else network, baseline
    x = torch.rand(args.batch, 3, *args.size, device=args.device)
    x = x.to(memory_format=layout)
    setting = "batch {}, {} x {}".format(args.batch, *args.size)
    columns = ["step", "network", "ms", "least", "ratio"]
    report = Report("What SE costs", args, __doc__, columns, setting)
    for mode in args.steps:
        steps = {n: STEPS[mode](net, x, x.is_cuda) for n, (net, _) in networks.items()}
        seconds = times(steps, args)
        for name, (_, baseline) in networks.items():
            own = seconds[name]
            ms = [f"{1e3 * s:.1f}" for s in (statistics.median(own), min(own))]
            report.add(mode, name, *ms, f"{ratio(own, seconds[baseline]):.3f}")
    report.finish()


def parse_args() -> argparse.Namespace:
    parser = benchmark_parser(__doc__, rounds=15, size=(224, 224))
    add = parser.add_argument
    add("--batch", type=int, default=8, help="images in a step (8)")
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    add("--toolbox", choices=("mmdet", "mmseg"), default="mmdet")
    add("--compile", action="store_true", help="with torch.compile")
    return parse(parser)


def build(toolbox: str) -> dict[str, tuple[nn.Module, str]]:
    """Each network by name, and the name of what it is compared with."""
    cfg = dict(depth=50, norm_eval=False)
    stock = MODELS.build(dict(type=f"{toolbox}.ResNet", **cfg))
    fused, plain = (
        MODELS.build(dict(type="nlse_mm.SEResNet", **cfg)) for _ in range(2)
    )
    for module in plain.modules():
        if isinstance(module, SELayer):  # one with a hook runs by itself
            module.register_forward_hook(lambda *_: None)
    networks = {
        "ResNet-50": (stock, "ResNet-50"),
        "SE-ResNet-50": (fused, "ResNet-50"),
        "SE-ResNet-50 plain": (plain, "ResNet-50"),
    }
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # missing, or no fit for this PyTorch
        print(f"timm can't be imported here ({error}); its pair isn't timed")
    else:
        for name in ("resnet50", "seresnet50"):
            net = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
            networks[f"timm {name}"] = (net, "timm resnet50")
    return networks


if __name__ == "__main__":
    main()
