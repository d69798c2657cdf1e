#!/usr/bin/env python
"""Export a detector's backbone and neck, or a segmentor, to ONNX or PyTorch's format.

    tools/deploy/export.py CONFIG CHECKPOINT --shape 800 1344 --verify
    tools/deploy/export.py CONFIG CHECKPOINT --format pt2 --dynamic --out model.pt2

The input is a batch of images as the model's data_preprocessor leaves them: normalised,
padded. A detector's outputs are the maps of its neck, a segmentor's the logits at the
images' size, of the whole image, also where test_cfg lets a window slide. Without a
checkpoint the weights are random.

--verify runs the file and the model on one image, on the CPU. A difference of more than
the tolerance, divided by the output's largest value, ends with exit code 1. Time is the
median of three runs in turns; peak memory is that of a process of its own, PyTorch's
libraries included, in one run.
"""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from contents import reason
from deployable import build, input_words, quiet
from file_formats import FORMATS
from torch import nn
from verification import verify

from nlse_mm.errors import ConfigError, MissingPackageError
from nlse_mm.ops.older_torch import TELLS_EXPORTS
from nlse_mm.toolbox import installed
from nlse_mm.training.command_line import (
    add_cfg_options,
    add_output,
    at_least,
    make_parser,
)
from nlse_mm.training.user_error import in_one_sentence


@in_one_sentence
def main() -> None:
    args = parse()
    check_packages(args)
    quiet()
    part, config = build(args)
    path = args.output or Path(f"{Path(args.config).stem}.{args.format}")
    save(record(part, args), path, args)
    report(path, input_words(config), args)
    if args.verify:
        verify(part, path, args)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add, pixels = parser.add_argument, at_least(1)
    add("config")
    add("checkpoint", nargs="?")
    add("--format", choices=FORMATS, default="onnx")
    words = "pixels of the images (800 1344)"
    size = dict(default=(800, 1344), metavar=("H", "W"), help=words)
    add("--shape", nargs=2, type=pixels, **size)
    words = "leave batch, height and width open"
    add("--dynamic", action="store_true", help=words)
    words = "compare the file with the model, and measure both"
    add("--verify", action="store_true", help=words)
    words = "difference that --verify accepts (%(default)s)"
    add("--tolerance", type=tolerance, default=1e-5, help=words)
    add_output(parser, help="file to write (CONFIG'S-NAME.FORMAT)")
    add_cfg_options(parser)
    return parser.parse_args()


def tolerance(text: str) -> float:
    """Return an argument as a number of 0 or more."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def check_packages(args: argparse.Namespace) -> None:
    """Refuse a format for which a package is missing, or this PyTorch too old.

    Raises:
        MissingPackageError: With the command that installs them.
    """
    # Before, our blocks are recorded with their maps.
    if not TELLS_EXPORTS:
        raise MissingPackageError(
            f"tools/deploy/export.py needs PyTorch 2.7 or newer, and this is "
            f"{torch.__version__}"
        )
    file = FORMATS[args.format]
    needed = (*file.TO_WRITE, *(file.TO_RUN if args.verify else ()))
    if missing := [name for name in needed if not installed(name)]:
        task = f"--format {args.format}{' --verify' if args.verify else ''}"
        raise MissingPackageError(
            f"{task} needs {' and '.join(missing)}, not installed here: "
            f"pip install {' '.join(missing)}"
        )


def record(part: nn.Module, args: argparse.Namespace) -> Any:
    """Return the model as a program of the format.

    Raises:
        ConfigError: If the model can't be exported at these sizes.
    """
    # Two of them where their number stays open: PyTorch would take a 1 for a constant.
    images = torch.zeros(1 + args.dynamic, 3, *args.shape)
    try:
        with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
            # What our blocks say, such as that a map of weights will be in the file.
            warnings.filterwarnings("always", module="nlse_mm")
            program = FORMATS[args.format].record(part, images, args.dynamic)
    except Exception as error:  # whatever a foreign model raises
        raise ConfigError(
            f"the model of {args.config} can't be exported with --format "
            f"{args.format} at {' x '.join(map(str, images.shape))}"
            f"{' and open sizes' if args.dynamic else ''}: {reason(error)}"
        ) from error
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"warning: {message}", file=sys.stderr)
    return program


def save(program: Any, path: Path, args: argparse.Namespace) -> None:
    """Write the file whole, or leave what was there.

    Raises:
        ConfigError: If it can't be written.
    """
    part = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        FORMATS[args.format].save(program, part)
        part.replace(path)
    except Exception as error:  # PyTorch's writer raises no OSError
        if part.is_file():
            part.unlink()
        raise ConfigError(f"{path} can't be written: {reason(error)}") from error


def report(path: Path, words: str, args: argparse.Namespace) -> None:
    """Print what the file holds."""
    contents = FORMATS[args.format].read(path)
    weights = args.checkpoint or "random weights"
    print(f"{path}: {args.config}, {weights}, {path.stat().st_size / 2**20:.1f} MiB")
    print(f"input      {shapes(contents.inputs)}: {words}")
    print(f"output     {shapes(contents.outputs)}")
    counts = [f"{name} {n}" for name, n in contents.operators.most_common()]
    print(f"operators  {contents.operator_set}: {', '.join(counts)}")


def shapes(found: list[tuple[str, ...]]) -> str:
    return ", ".join(f"({', '.join(shape)})" for shape in found)


if __name__ == "__main__":
    main()
