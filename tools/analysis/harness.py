"""Flags, interleaved times and peak memory of all benchmarks.

A round runs each step once, one after the other: whatever slows the machine for a while
slows all of them. A ratio is the median, over the rounds, of a step's time divided by
its peer's in the same round, which is steadier than the times themselves.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from arguments import add_output, at_least_one, make_parser
from torch import Tensor, nn
from torch.utils.benchmark import timer  # waits for the GPU where there is one

Step = Callable[[], object]


def extent(text: str) -> tuple[int, int]:
    """Read ``50x84`` as height and width."""
    try:
        height, width = map(at_least_one, text.split("x"))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HxW, such as 50x84"
        ) from None
    return height, width


def benchmark_parser(
    doc: str,
    rounds: int,
    seconds: float = math.inf,
    size: tuple[int, int] | None = None,
    sizes: Sequence[str] = (),
    read: Callable[[str], tuple] = extent,
) -> argparse.ArgumentParser:
    """Make a parser with the flags of all benchmarks, and their defaults.

    The last paragraph of ``doc`` says how the benchmark measures. Those of one size
    (H, W) have ``--size``, those of several ``--sizes``, each ``HxW`` or what ``read``
    reads.
    """
    parser = make_parser(doc)
    add = parser.add_argument
    number = dict(type=at_least_one)
    words = f"after one that warms up ({rounds})"
    add("--rounds", "--repeats", "--repeat", default=rounds, **number, help=words)
    words = f"after which a case gets no further round, once it had two ({seconds})"
    add("--seconds", type=float, default=seconds, help=words)
    if size:
        add("--size", **number, nargs=2, default=size, metavar=("H", "W"))
    if sizes:
        default = [read(text) for text in sizes]
        how = dict(nargs="+", type=read, metavar="HxW", help=" ".join(sizes))
        add("--sizes", default=default, **how)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--threads", **number, help="of a CPU; all cores by default")
    add_output(parser, help="a Markdown file for the table")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line, and set threads and seed."""
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    return args


def times(
    steps: Mapping[str, Step],
    args: argparse.Namespace,
    clock: Callable[[], float] = timer,
) -> dict[str, list[float]]:
    """Time ``steps`` in turns, ``args.rounds`` times after a round that warms up.

    After ``args.seconds`` no further round begins, once there were two. Where there is
    nothing to compare, the round that warms up may be the only one.

    Returns:
        Seconds of each step in each round.
    """
    seconds = {name: [] for name in steps}
    started = timer()
    least = 3 if len(steps) > 1 else 1
    for done in range(args.rounds + 1):
        if done >= least and timer() - started > args.seconds:
            break
        for name, step in steps.items():
            start = clock()
            step()
            seconds[name].append(clock() - start)
    return {name: own[1:] or own for name, own in seconds.items()}


def ratio(own: Sequence[float], peer: Sequence[float]) -> float:
    """Return the median ratio of what was measured in the same rounds."""
    return statistics.median(a / b for a, b in zip(own, peer, strict=True))


def beside(
    own: Sequence[float], peer: Sequence[float], scale: float = 1, digits: int = 0
) -> list[str]:
    """Write a quantity, its peer's and the ratio; a dash is what wasn't measured."""
    median = [scale * statistics.median(v) if v else None for v in (own, peer)]
    cells = ["-" if m is None else f"{m:.{digits}f}" for m in median]
    # A peak is 0 where a step is so small that it takes no new page.
    is_known = own and peer and all(peer)
    return [*cells, f"{ratio(own, peer):.2f}" if is_known else "-"]


def peak_mib(
    prepare: Callable[..., tuple[Step, Step]], *arguments, device: str
) -> tuple[float, float]:
    """Measure the memory of a step in a fresh process, since a peak never sinks.

    Args:
        prepare: A function of a module. Returns a small step, which warms up, and the
            step that is measured.
        arguments: Its arguments.
        device: On a CPU the process's high-water mark counts, on a GPU the allocator.

    Returns:
        MiB before the step, and at its peak.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        threads = torch.get_num_threads()
        return pool.submit(_peak_mib, prepare, arguments, device, threads).result()


def _peak_mib(
    prepare: Callable, arguments: tuple, device: str, threads: int
) -> tuple[float, float]:
    torch.set_num_threads(threads)
    warm_up, step = prepare(*arguments)
    warm_up()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return before / 2**20, torch.cuda.max_memory_allocated() / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the mark falls to what is used now
    before = _high_water_mib()
    step()
    return before, _high_water_mib()


def _high_water_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def training_step(module: nn.Module, x: Tensor, amp: bool = False) -> Step:
    """Return a forward pass in training mode and the backward pass from ones."""

    def step() -> None:
        x.grad = None
        module.train()
        module.zero_grad()
        with _autocast(x, amp):
            y = module(x)
        outputs = [y] if isinstance(y, Tensor) else list(y)
        torch.autograd.backward(outputs, [torch.ones_like(out) for out in outputs])

    return step


def inference_step(module: nn.Module, x: Tensor, amp: bool = False) -> Step:
    """Return a forward pass without gradients."""

    def step() -> None:
        module.eval()
        with torch.no_grad(), _autocast(x, amp):
            module(x)

    return step


def training_costs(
    build: Callable[..., nn.Module],
    layers: Mapping[str, tuple],
    shape: tuple[int, ...],
    args: argparse.Namespace,
    amp: bool = False,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Measure a training step of ``build(*arguments)`` for each of ``layers``.

    Returns:
        The seconds of each round, and MiB at the peak above the input.
    """
    x = torch.rand(shape, device=args.device, requires_grad=True)
    built = {name: build(*layer).to(args.device) for name, layer in layers.items()}
    seconds = times({n: training_step(b, x, amp) for n, b in built.items()}, args)
    del built, x
    peak = {}
    for name, layer in layers.items():
        prepared = (_prepare_training, build, layer, shape, args.device, amp)
        before, most = peak_mib(*prepared, device=args.device)
        peak[name] = [most - before]
    return seconds, peak


def _prepare_training(build, layer, shape, device, amp) -> tuple[Step, Step]:
    module = build(*layer).to(device)
    small = torch.rand(*shape[:2], 8, 8, device=device, requires_grad=True)
    x = torch.rand(shape, device=device, requires_grad=True)
    return training_step(module, small, amp), training_step(module, x, amp)


def _autocast(x: Tensor, enabled: bool) -> torch.autocast:
    return torch.autocast(x.device.type, torch.bfloat16, enabled=enabled)
