"""Measure steps in turns, on a CPU or a GPU, and report them: what benchmarks share."""

import datetime
import math
import platform
import re
import shlex
import statistics
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from arguments import add_output, at_least_one, make_parser
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from nlse_mm.analysis.peak_memory import Step, Steps, peak_here, peak_mib
from nlse_mm.errors import ConfigError

HOW = """\
A round runs each step once, one after the other, so that whatever slows the machine
slows all of them; a ratio is the median over the rounds of a time divided by its peer's
in the same round. Peak memory is on a CPU the high-water mark of a process of its own,
on a GPU that of PyTorch's allocator."""

Clock = Callable[[], float]
Builder = Callable[[], nn.Module]
Builders = Mapping[str, Builder]
Shape = tuple[int, ...]
Measured = dict[str, list[float]]  # by step, a number for each round


def extent(text: str) -> tuple[int, int]:
    """Read ``50x84`` as height and width."""
    try:
        height, width = map(at_least_one, text.split("x"))
        return height, width
    except (ValueError, ArgumentTypeError):
        raise ArgumentTypeError(f"{text!r} is not HxW, such as 50x84") from None


def benchmark_parser(
    doc: str, rounds: int, size: Shape = (), sizes: Sequence[str] = ()
) -> ArgumentParser:
    """Make a parser with the flags of all benchmarks, and these defaults.

    The last paragraph of ``doc`` says what is measured.
    """
    parser = make_parser(f"{doc}\n{HOW}")
    parser.set_defaults(what=doc.strip().split("\n\n")[-1], amp=False)
    add, number = parser.add_argument, dict(type=at_least_one)
    words = "after one that warms up (%(default)s)"
    add("--rounds", "--repeats", "--repeat", **number, default=rounds, help=words)
    words = "after which a case gets no further round, once it had two (%(default)s)"
    add("--seconds", type=float, default=math.inf, help=words)
    if size:
        add("--size", **number, nargs=2, default=size, metavar=("H", "W"))
    if sizes:
        how = dict(nargs="+", type=extent, metavar="HxW", help=" ".join(sizes))
        add("--sizes", default=[extent(text) for text in sizes], **how)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--threads", **number, help="of a CPU; all cores by default")
    add_output(parser, help="a Markdown file for the table")
    return parser


def parse(parser: ArgumentParser) -> Namespace:
    """Parse the command line, and set threads and seed.

    Raises:
        ConfigError: For a GPU where there is none.
    """
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda needs a GPU, and PyTorch sees none here")
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    return args


def now(device: str, clock: Clock = time.perf_counter) -> float:
    """Return the time on ``clock`` when ``device`` has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return clock()


def times(
    steps: Mapping[str, Step], args: Namespace, clock: Clock = time.perf_counter
) -> Measured:
    """Return the seconds of ``steps`` in ``args.rounds`` rounds, after one to warm up.

    After ``args.seconds`` no further round begins, once there were two. Where there is
    nothing to compare, the round that warms up may be the only one.
    """
    seconds: Measured = {name: [] for name in steps}
    end = time.perf_counter() + args.seconds
    least = 3 if len(steps) > 1 else 1
    for done in range(args.rounds + 1):
        if done >= least and time.perf_counter() > end:
            break
        for name, step in steps.items():
            seconds[name].append(seconds_of(step, args.device, clock))
    return {name: own[1:] or own for name, own in seconds.items()}


def seconds_of(step: Step, device: str, clock: Clock = time.perf_counter) -> float:
    """Return the seconds of a step: on a GPU, by the events around what it started."""
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()  # what was started before isn't the step's
        start.record()
        step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3
    begin = clock()
    step()
    return clock() - begin


def ratio(own: Sequence[float], peer: Sequence[float]) -> float:
    """Return the median ratio of what was measured in the same rounds."""
    return statistics.median(a / b for a, b in zip(own, peer, strict=True))


def beside(
    measured: Measured, names: Iterable[str], scale: float = 1, digits: int = 0
) -> list[str]:
    """Format two steps' medians and their ratio; a dash is what isn't measured."""
    own, peer = both = [measured.get(name, []) for name in names]
    cells = [f"{scale * statistics.median(v):.{digits}f}" if v else "-" for v in both]
    # A peak is 0 where a step is so small that it takes no new page.
    is_known = own and peer and all(peer)
    return [*cells, f"{ratio(own, peer):.2f}" if is_known else "-"]


def pass_of(module: nn.Module, x: Tensor, training: bool, amp: bool = False) -> Step:
    """Return an inference of ``x``; in training, with a backward pass from ones."""

    def step() -> None:
        x.grad = None
        module.train(training)
        module.zero_grad()
        # Not one that is switched off, which would end the caller's.
        half = torch.autocast(x.device.type, torch.bfloat16) if amp else nullcontext()
        with torch.set_grad_enabled(training), half:
            y = module(x)
        if training:
            outputs = [y] if isinstance(y, Tensor) else list(y)
            torch.autograd.backward(outputs, [torch.ones_like(out) for out in outputs])

    return step


def passes(
    device: str, build: Builder, shape: Shape, training: bool, amp: bool
) -> Steps:
    """Return a pass of a small input and one of ``shape``, through the same module."""
    module, how = build().to(device), dict(device=device, requires_grad=training)
    small, full = torch.rand(*shape[:2], 8, 8, **how), torch.rand(shape, **how)
    return pass_of(module, small, training, amp), pass_of(module, full, training, amp)


def pass_times(
    builders: Builders, shape: Shape, args: Namespace, training: bool
) -> Measured:
    """Return the seconds of a pass of each module that ``builders`` build."""
    how = (shape, training, args.amp)
    built = {n: passes(args.device, build, *how) for n, build in builders.items()}
    return times({name: full for name, (_, full) in built.items()}, args)


def training_peaks(builders: Builders, shape: Shape, args: Namespace) -> Measured:
    """Return the MiB that each module's training pass takes above its input."""
    how = (shape, True, args.amp)
    # A GPU's allocator counts each step by itself, and a process of its own takes long.
    measured = peak_here if args.device == "cuda" else peak_mib
    peaks = {n: measured(passes, args.device, b, *how) for n, b in builders.items()}
    # The kernel counts in batches, so that a tiny step may seem to free some.
    return {name: [max(0.0, most - start)] for name, (start, most) in peaks.items()}


@dataclass
class Report:
    """A table: each row on stderr and in a Markdown file as it comes, then all.

    ``setting`` is what the numbers depend on, beside the machine and the rounds.
    """

    title: str
    columns: Sequence[str]
    setting: str
    args: Namespace
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row; cells that are missing at its end stay empty."""
        cells += ("",) * (len(self.columns) - len(cells))
        self.rows.append(cells)
        print(" | ".join(cells), file=sys.stderr, flush=True)
        self._write()

    def finish(self, *notes: str) -> None:
        """Print the table and the ``notes`` below it, and write them."""
        table = Table(*self.columns, title=f"{self.title}\n{self._where()}")
        for row in self.rows:
            table.add_row(*row)
        Console(width=180).print(table, markup=False)
        print(*notes, sep="\n")
        self._write(*notes)

    def _where(self) -> str:
        common = f"torch {torch.__version__}, {self.args.rounds} rounds"
        where = f"{datetime.date.today()}, {machine(self.args.device)}"
        return f"{where}, {common}, {self.setting}"

    def _write(self, *notes: str) -> None:
        if not self.args.output:
            return
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        rows = [self.columns, ["---"] * len(self.columns), *self.rows]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        fence = f"```bash\npython tools/analysis/{command}\n```"
        head = (f"# {self.title}", f"{self._where()}.", fence, self.args.what, HOW)
        self.args.output.parent.mkdir(parents=True, exist_ok=True)
        self.args.output.write_text("\n\n".join([*head, lines, *notes]) + "\n")


def machine(device: str) -> str:
    """Return the device's name, and how many of a processor's cores are used."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{[*names, platform.machine()][0]}, {torch.get_num_threads()} cores"
