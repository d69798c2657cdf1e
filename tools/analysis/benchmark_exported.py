#!/usr/bin/env python
"""Compare exported non-local blocks with the formula's export, in memory and time.

    tools/analysis/benchmark_exported.py --output docs/benchmarks/exported_cpu.md
    tools/analysis/benchmark_exported.py --formats aoti --modes gaussian

A block of D channels of queries, keys and values is exported at 12x20 with all sizes
open, as it is and with the formula in the place of its attention. `MiB` is what one
image takes above the loaded model and the image, `of the map` that divided by the
P x Q weights' size, and below 1 in `MiB, ratio` and `ms, ratio` ours is better.
`difference` is the largest from the block itself, divided by its largest output, over
batches of 1 and 3 at three other sizes.
"""

import warnings
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from arguments import at_least_one
from harness import Report, Steps, benchmark_parser, beside, parse, peak_mib, times
from torch import Tensor, nn

from nlse_mm.plugins import NonLocal2d
from nlse_mm.plugins.non_local import MODES
from nlse_mm.training.user_error import in_one_sentence

Run = Callable[[Tensor], object]
COLUMNS = ["format", "mode", "sub-sampled", "MiB", "formula's MiB", "MiB, ratio"]
COLUMNS += ["of the map", "ms", "formula's ms", "ms, ratio", "difference"]
EXAMPLE = (12, 20)
OTHERS = ((8, 6), (31, 45))  # sizes below and above it, beside the one that is measured
# Where the choice of the form is made; without it the formula is recorded.
CHOICE = ("exported_softmax.may_be_linear", "exported_concatenation.may_be_linear")


def to_pt2(block: nn.Module, x: Tensor, path: Path) -> None:
    torch.export.save(program(block, x), path)


def to_aoti(block: nn.Module, x: Tensor, path: Path) -> None:
    torch._inductor.aoti_compile_and_package(program(block, x), package_path=str(path))


def to_onnx(block: nn.Module, x: Tensor, path: Path) -> None:
    how = dict(dynamo=True, dynamic_shapes=open_sizes(), verbose=False)
    torch.onnx.export(block, (x,), path, **how)


def program(block: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(block, (x,), dynamic_shapes=open_sizes())


def open_sizes() -> tuple[dict, ...]:
    """Return dynamic shapes of a map (N, C, H, W) whose channels alone are fixed."""
    return (dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO),)


def from_pt2(path: str) -> Run:
    return torch.export.load(path).module()


def from_aoti(path: str) -> Run:
    return torch._inductor.aoti_load_package(path)


def from_onnx(path: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options)
    (name,) = (argument.name for argument in session.get_inputs())
    return lambda x: session.run(None, {name: x.numpy()})[0]


FORMATS = {
    "pt2": (to_pt2, from_pt2),
    "onnx": (to_onnx, from_onnx),
    "aoti": (to_aoti, from_aoti),
}


@in_one_sentence
def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3, size=(100, 84))
    add = parser.add_argument
    add("--channels", type=at_least_one, default=128, metavar="D")
    add("--formats", nargs="+", choices=FORMATS, default=["pt2", "onnx"])
    add("--modes", nargs="+", choices=MODES, default=MODES)
    args = parse(parser)
    warnings.filterwarnings("ignore")  # a formula says that it has a map
    setting = "{} channels, one image of {}x{}".format(2 * args.channels, *args.size)
    report = Report("Exported non-local blocks", COLUMNS, setting, args)
    for case in product(args.formats, args.modes, (False, True)):
        measure(report, args, *case)
    report.finish()


@torch.no_grad()
def measure(
    report: Report, args: Namespace, form: str, mode: str, sub_sample: bool
) -> None:
    """Add the row of one case."""
    torch.manual_seed(0)
    block = NonLocal2d(2 * args.channels, mode=mode, sub_sample=sub_sample).eval()
    nn.init.normal_(block.conv_out.conv.weight, std=0.1)
    shape = (1, 2 * args.channels, *args.size)
    write, read = FORMATS[form]
    peaks, steps = {}, {}
    with TemporaryDirectory() as folder:
        for way in ("ours", "formula"):
            path = Path(folder, f"{way}.{'onnx' if form == 'onnx' else 'pt2'}")
            with ExitStack() as stack:
                for name in CHOICE if way == "formula" else ():
                    stack.enter_context(patch(f"nlse_mm.ops.{name}", lambda: False))
                write(block, torch.rand(2, shape[1], *EXAMPLE), path)
            start, most = peak_mib(passes, args.device, form, str(path), shape)
            peaks[way] = [most - start]
            steps[way] = partial(read(str(path)), torch.rand(shape))
        worst = difference(block, read(str(Path(folder, path.with_stem("ours")))), args)
        seconds = times(steps, args)
    map_mib = 4 * (shape[2] * shape[3]) ** 2 / 2**20 / (4 if sub_sample else 1)
    memory = beside(peaks, steps)
    memory.append(f"{peaks['ours'][0] / map_mib:.1%}")
    speed = beside(seconds, steps, scale=1e3)
    sub = "yes" if sub_sample else "no"
    report.add(form, mode, sub, *memory, *speed, f"{worst:.1e}")


def passes(device: str, form: str, path: str, shape: tuple[int, ...]) -> Steps:
    """Return a run of the file on a small map, and one on a map of ``shape``."""
    torch.set_grad_enabled(False)
    run = FORMATS[form][1](path)
    small, full = torch.rand(*shape[:2], 8, 8), torch.rand(shape)
    return partial(run, small), partial(run, full)


def difference(block: nn.Module, run: Run, args: Namespace) -> float:
    """Return the largest difference from ``block``, in shares of its largest output."""
    worst = 0.0
    for batch, size in product((1, 3), (*OTHERS, args.size)):
        x = torch.rand(batch, 2 * args.channels, *size)
        expected = block(x)
        error = (torch.as_tensor(run(x)) - expected).abs().max()
        worst = max(worst, float(error / expected.abs().max()))
    return worst


if __name__ == "__main__":
    main()
