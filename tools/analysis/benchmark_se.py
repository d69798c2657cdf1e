"""Time SE-ResNet-50 beside ResNet-50, and timm's pair beside each other.

    python tools/analysis/benchmark_se.py --batch 8 --size 224 224
    python tools/analysis/benchmark_se.py --batch 1 --size 800 1333
    python tools/analysis/benchmark_se.py --batch 64 --size 224 224 --device cuda

One round times a step of every network, one after the other, so that whatever slows the
machine slows all; a row's ratio is the median over the rounds of its time divided by
its baseline's in the same round. A training step is a forward pass in training mode and
a backward pass from the means of the four outputs. On a GPU the networks run
channels-last in bfloat16 autocast. ``plain`` is the same SE-ResNet without the fused
end of its blocks; timm's networks take part where timm can be imported.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from mmengine.registry import MODELS, DefaultScope
from timing import autocast, machine, rounds
from torch import nn

from nlse_mm.plugins import SELayer

Step = Callable[[], None]


def main() -> None:
    args = parse_args()
    DefaultScope.get_instance("benchmark_se", scope_name=args.toolbox)
    networks = build(args)
    x = torch.rand(args.batch, 3, *args.size, device=args.device)
    if args.device == "cuda":
        x = x.to(memory_format=torch.channels_last)
    print(f"{machine(args.device)}, torch {torch.__version__}")
    print(f"batch {args.batch}, {args.size[0]} x {args.size[1]}, {args.rounds} rounds")
    print(f"{'':8}{'':24}{'ms':>8}{'least':>8}{'ratio':>8}")
    for mode in args.steps:
        step = STEPS[mode]
        steps = {name: step(net, x) for name, (net, _) in networks.items()}
        seconds = rounds(steps, args.rounds)
        for name, (_, baseline) in networks.items():
            own = seconds[name]
            ratios = [a / b for a, b in zip(own, seconds[baseline], strict=True)]
            print(
                f"{mode:10}{name:22}{1e3 * statistics.median(own):8.1f}"
                f"{1e3 * min(own):8.1f}{statistics.median(ratios):8.3f}"
            )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=8, help="images in a step")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W")
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--threads", type=int, help="cores to use; all by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--toolbox", choices=("mmdet", "mmseg"), default="mmdet")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def build(args: argparse.Namespace) -> dict[str, tuple[nn.Module, str]]:
    """Each network by name, and the name of what it is compared with."""
    cfg = dict(depth=50, norm_eval=False)
    stock = MODELS.build(dict(type=f"{args.toolbox}.ResNet", **cfg))
    fused, plain = (
        MODELS.build(dict(type="nlse_mm.SEResNet", **cfg)) for _ in range(2)
    )
    for module in plain.modules():
        if isinstance(module, SELayer):  # one that is watched runs by itself
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
    return {n: (prepare(net, args), base) for n, (net, base) in networks.items()}


def prepare(net: nn.Module, args: argparse.Namespace) -> nn.Module:
    net = net.to(args.device)
    if args.device == "cuda":
        net = net.to(memory_format=torch.channels_last)
    return torch.compile(net) if args.compile else net


def training_step(net: nn.Module, x: torch.Tensor) -> Step:
    def step() -> None:
        net.train()
        net.zero_grad()
        with autocast(x, x.is_cuda):
            outputs = net(x)
        sum(o.float().mean() for o in outputs).backward()

    return step


def inference_step(net: nn.Module, x: torch.Tensor) -> Step:
    def step() -> None:
        net.eval()
        with torch.no_grad(), autocast(x, x.is_cuda):
            net(x)

    return step


STEPS = {"training": training_step, "inference": inference_step}

if __name__ == "__main__":
    main()
