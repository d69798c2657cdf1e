"""Compare an exported file with the model it comes from, and measure both.

Shapes: N batch, H height, W width.
"""

import math
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from contents import Run, reason
from deployable import build, quiet
from file_formats import FORMATS
from torch import Tensor, nn

from nlse_mm.analysis.peak_memory import Peak, Steps, peak_mib

ROUNDS = 3
Shape = tuple[int, ...]


def verify(part: nn.Module, path: Path, args: Namespace) -> None:
    """Print how the file differs from the model, and the time and memory of both.

    Raises:
        SystemExit: With exit code 1, where they differ by more than ``args.tolerance``.
    """
    file, shape = FORMATS[args.format], (1, 3, *args.shape)
    model, exported = eager(part), file.load(path)
    shapes = [shape, *([other_shape(args.shape)] if args.dynamic else [])]
    differences = []
    for tried in shapes:
        size = " x ".join(map(str, tried))
        try:
            differences.append(difference(exported, model, tried))
        except Exception as error:  # whatever a foreign model or runtime raises
            sys.exit(f"error: {path} can't be verified at {size}: {reason(error)}")
        print(f"difference {differences[-1]:.1e} of the largest value at {size}")
    ms = times([model, exported], random_images(shape))
    print(row("model", ms[0], peak_mib(prepare_model, "cpu", args, shape)))
    peak = peak_mib(prepare_file, "cpu", args.format, path, shape)
    print(f"{row('file', ms[1], peak)}, in {file.runner()}")
    # A NaN isn't below anything.
    if not all(found <= args.tolerance for found in differences):
        sys.exit(
            f"error: {path} differs from the model by more than --tolerance "
            f"{args.tolerance:g} of the largest value"
        )


def eager(part: nn.Module) -> Run:
    """Return ``part`` as a function that returns a list, without gradients."""

    @torch.no_grad()
    def run(images: Tensor) -> list[Tensor]:
        outputs = part(images)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)

    return run


def random_images(shape: Shape) -> Tensor:
    """Return normalised images (N, 3, H, W), the same in each process."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def other_shape(size: Sequence[int]) -> Shape:
    """Return three images of about half the height and width, multiples of 32."""
    return (3, 3, *(32 * max(1, pixels // 64) for pixels in size))


def difference(run: Run, reference: Run, shape: Shape) -> float:
    """Return the largest difference of any output, by that output's largest value.

    NaN where one is in an output, infinity where a shape differs, and 0 where an output
    is zero in both.
    """
    images = random_images(shape)
    pairs = list(zip(run(images), reference(images), strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return math.inf
    tiny = torch.finfo(torch.float32).tiny
    parts = [(a - b).abs().max() / b.abs().max().clamp(min=tiny) for a, b in pairs]
    return float(torch.stack(parts).max())


def times(runs: Sequence[Run], images: Tensor) -> list[float]:
    """Return the milliseconds of each, the median of rounds in which they take turns.

    Each has run before.
    """
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, own in zip(runs, seconds, strict=True):
            begin = time.perf_counter()
            run(images)
            own.append(time.perf_counter() - begin)
    return [1e3 * statistics.median(own) for own in seconds]


def prepare_model(_: str, args: Namespace, shape: Shape) -> Steps:
    """Return no step that warms up, and a run of the model, for ``peak_mib``."""
    quiet()
    return _step(eager(build(args)[0]), shape)


def prepare_file(_: str, name: str, path: Path, shape: Shape) -> Steps:
    """Return no step that warms up, and a run of a file, for ``peak_mib``."""
    return _step(FORMATS[name].load(path), shape)


def _step(run: Run, shape: Shape) -> Steps:
    images = random_images(shape)
    return lambda: None, lambda: run(images)


def row(name: str, milliseconds: float, peak: Peak) -> str:
    """Format what was measured of the model or the file."""
    start, most = peak
    return (
        f"{name:<10} {milliseconds:.0f} ms, peak {most:.0f} MiB, "
        f"{most - start:.0f} MiB above what was loaded"
    )
