#!/usr/bin/env python
"""Compare the time of SE-ResNet-50 with ResNet-50, and of timm's pair.

    tools/analysis/benchmark_se.py --batch 64 --size 224 224 --device cuda

A training step is a forward pass in training mode and a backward pass from the four
outputs. On a GPU the networks run channels-last in bfloat16 autocast. `plain` is the
same SE-ResNet without the fused end of its blocks, `least` the fastest round; timm's
networks take part where timm can be imported.
"""

import statistics

import torch
from arguments import at_least_one
from harness import Report, benchmark_parser, parse, pass_of, ratio, times
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from nlse_mm.plugins import SELayer
from nlse_mm.toolbox import TOOLBOXES
from nlse_mm.training.user_error import in_one_sentence

STEPS = {"training": True, "inference": False}
SCOPES = [toolbox.scope for toolbox in TOOLBOXES]
COLUMNS = ("step", "network", "ms", "least", "ratio")


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=15, size=(224, 224))
    add = parser.add_argument
    add("--batch", type=at_least_one, default=8, help="images in a step (8)")
    add("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    add("--toolbox", choices=SCOPES, default=SCOPES[0])
    add("--compile", action="store_true", help="with torch.compile")
    args = parse(parser)
    is_gpu = args.device == "cuda"
    layout = torch.channels_last if is_gpu else torch.contiguous_format
    x = torch.rand(args.batch, 3, *args.size, device=args.device)
    x = x.to(memory_format=layout)
    networks = build(args.toolbox)
    for name, network in networks.items():
        network.to(args.device, memory_format=layout)
        networks[name] = torch.compile(network) if args.compile else network
    setting = "batch {}, {} x {}".format(args.batch, *args.size)
    report = Report("What SE costs", COLUMNS, setting, args)
    for mode in args.steps:
        steps = {n: pass_of(net, x, STEPS[mode], is_gpu) for n, net in networks.items()}
        seconds = times(steps, args)
        for name, own in seconds.items():
            peer = seconds["timm resnet50" if name.startswith("timm") else "ResNet-50"]
            ms = [f"{1e3 * s:.1f}" for s in (statistics.median(own), min(own))]
            report.add(mode, name, *ms, f"{ratio(own, peer):.3f}")
    report.finish()


def build(toolbox: str) -> dict[str, nn.Module]:
    """Return each network by its name in the table."""
    types = (f"{toolbox}.ResNet", "nlse_mm.SEResNet", "nlse_mm.SEResNet")
    with DefaultScope.overwrite_default_scope(toolbox):
        stock, fused, plain = (
            MODELS.build(dict(type=name, depth=50, norm_eval=False)) for name in types
        )
    for module in plain.modules():
        if isinstance(module, SELayer):  # one with a hook runs by itself
            module.register_forward_hook(lambda *_: None)
    networks = {"ResNet-50": stock, "SE-ResNet-50": fused, "SE-ResNet-50 plain": plain}
    try:
        from timm import create_model
    except (ImportError, RuntimeError) as error:  # missing, or no fit for this PyTorch
        print(f"timm can't be imported here ({error}); its pair isn't timed")
        return networks
    form = dict(features_only=True, out_indices=(1, 2, 3, 4))
    pair = {f"timm {n}": create_model(n, **form) for n in ("resnet50", "seresnet50")}
    return {**networks, **pair}


if __name__ == "__main__":
    main()
