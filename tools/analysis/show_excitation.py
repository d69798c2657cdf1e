#!/usr/bin/env python
"""Draw which channels squeeze-and-excitation opens, by stage and class.

    tools/analysis/show_excitation.py CONFIG CHECKPOINT IMAGENET/val
    tools/analysis/show_excitation.py CONFIG CHECKPOINT \
        data/coco/annotations/instances_val2017.json --classes person dog

For the last SE layer of each stage (a column): above, the gate's mean for each class
and for all pictures, as figure 6 of Squeeze-and-Excitation Networks; below, a row for
each class, its mean and its standard deviation over pictures, as figure 7. Of more than
50 channels 50 are drawn, evenly spread, as there.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from model_on_pictures import add_config_options, load_model, read_picture, run
from pictures import DATA_HELP, by_frequency, find_pictures
from rich.console import Console
from rich.progress import track

from nlse_mm.analysis import ExcitationMeter, RunningMoments, last_of_stages
from nlse_mm.engine.user_error import UserError, in_one_sentence

_CHANNELS = 50
_CLASSES = 4  # in the paper's figure 6


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    parser.add_argument("data", type=Path, help=DATA_HELP)
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="the four most frequent by default"
    )
    parser.add_argument("--number", type=int, help="pictures, evenly spread (all)")
    parser.add_argument("--out", type=Path, default=Path("excitation.png"))
    add_config_options(parser)
    return parser.parse_args()


@in_one_sentence
def main() -> None:
    args = parse_args()
    kinds = FigureCanvasBase.get_supported_filetypes()
    if args.out.suffix[1:] not in kinds:
        raise UserError(f"--out {args.out} does not end in one of {', '.join(kinds)}")
    pictures = find_pictures(args.data, args.number)
    present = by_frequency(pictures)
    classes = args.classes or present[:_CLASSES]
    for c in classes:
        if c not in present:
            known = ", ".join(sorted(present)) or "none, as it is a plain folder"
            raise UserError(f"no picture shows the class {c!r}; there are {known}")
    model = load_model(args)
    meter = ExcitationMeter(last_of_stages(model), classes)
    for picture in track(pictures, "Pictures", console=Console(stderr=True)):
        read_picture(picture.path)
        with meter.measuring(picture.classes):
            run(model, picture.path)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(meter.moments, classes).savefig(args.out, dpi=110)
    for c in classes:
        print(f"{c}: {sum(c in picture.classes for picture in pictures)} pictures")
    print(f"all: {len(pictures)} pictures")
    print(args.out)


def draw(moments: dict[str, dict[str, RunningMoments]], classes: list[str]) -> Figure:
    """A column for each layer; the means above, a class with its spread in each row."""
    rows = 1 + max(len(classes), 1)
    figure = Figure((3.4 * len(moments), 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, len(moments), squeeze=False, sharey=True)
    for column, (name, by_class) in zip(axes.T, moments.items(), strict=True):
        channels = _channels(len(by_class["all"].mean))
        column[0].set_title(name.removeprefix("backbone."), fontsize=9)
        for number, c in enumerate(classes):
            _plot(column[0], channels, by_class[c], f"C{number}", c)
        _plot(column[0], channels, by_class["all"], "black", "all")
        for number, (axis, c) in enumerate(
            zip(column[1:], classes or ["all"], strict=True)
        ):
            color = f"C{number}" if classes else "black"
            _plot(axis, channels, by_class[c], color, c, spread=True)
        column[-1].set_xlabel("channel", fontsize=8)
    for axis, c in zip(axes[:, 0], ["mean gate", *(classes or ["all"])], strict=True):
        axis.set_ylabel(c, fontsize=9)
    axes[0, 0].legend(fontsize=7)
    return figure


def _channels(number: int) -> np.ndarray:
    """Up to 50 of ``number`` channels, evenly spread."""
    return np.linspace(0, number - 1, min(number, _CHANNELS)).round().astype(int)


def _plot(
    axis,
    channels: np.ndarray,
    moments: RunningMoments,
    color: str,
    label: str,
    spread: bool = False,
) -> None:
    mean, std = moments.mean.numpy()[channels], moments.std.numpy()[channels]
    axis.plot(channels, mean, color=color, linewidth=1, label=label)
    if spread:
        axis.fill_between(
            channels, mean - std, mean + std, color=color, alpha=0.3, linewidth=0
        )
    axis.tick_params(labelsize=7)


if __name__ == "__main__":
    main()
