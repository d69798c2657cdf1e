#!/usr/bin/env python
"""Draw which channels squeeze-and-excitation opens, by stage and class.

    tools/analysis/show_excitation.py CONFIG CHECKPOINT IMAGENET/val
    tools/analysis/show_excitation.py CONFIG CHECKPOINT \
        data/coco/annotations/instances_val2017.json --classes person dog

For the last SE layer of each stage (a column), or any other module with a method
excitation(x): above, the gate's mean for each class and for all images, as figure 6 of
Squeeze-and-Excitation Networks; below, a row for each class, its mean and its standard
deviation over images, as figure 7. Of more than 50 channels 50 are drawn, evenly
spread, as there.
"""

from pathlib import Path

import numpy as np
from arguments import (
    add_cfg_options,
    add_output,
    check_figure,
    make_parser,
    save_figure,
)
from images import add_data, by_frequency, find_images
from matplotlib.figure import Figure
from model_on_images import check_kind, load_model, readable, run

from nlse_mm.analysis import ExcitationMeter, RunningMoments, last_of_stages
from nlse_mm.errors import ConfigError
from nlse_mm.training.user_error import in_one_sentence

_CHANNELS = 50
_CLASSES = 4  # in the paper's figure 6


@in_one_sentence
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    add_data(parser)
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="the four most frequent by default"
    )
    add_output(parser, default=Path("excitation.png"))
    add_cfg_options(parser)
    args = parser.parse_args()
    check_figure(args.output)
    images = find_images(args)
    present = by_frequency(images)
    classes = args.classes or present[:_CLASSES]
    for c in classes:
        if c not in present:
            known = ", ".join(sorted(present)) or "none, as it is a plain folder"
            raise ConfigError(f"no image shows the class {c!r}; there are {known}")
    model = load_model(args)
    check_kind(model, images)
    meter = ExcitationMeter(last_of_stages(model), classes)
    for image in readable(images):
        with meter.measuring(image.classes):
            run(model, image.path)
    moments = {name: by_class for name, by_class in meter.moments.items() if by_class}
    if not moments:
        layers = ", ".join(meter.moments)
        raise ConfigError(f"none of these layers runs on an image: {layers}")
    save_figure(draw(moments, classes), args.output)
    for c in classes:
        print(f"{c}: {sum(c in image.classes for image in images)} images")
    print(f"all: {len(images)} images")
    print(args.output)


def draw(moments: dict[str, dict[str, RunningMoments]], classes: list[str]) -> Figure:
    """Draw a column for each layer; the means, then a class with its spread per row."""
    colors = {c: f"C{number}" for number, c in enumerate(classes)}
    rows = classes or ["all"]
    figure = Figure((3.4 * len(moments), 2.1 * (1 + len(rows))), layout="constrained")
    axes = figure.subplots(1 + len(rows), len(moments), squeeze=False, sharey=True)
    for column, (name, by_class) in zip(axes.T, moments.items(), strict=True):
        number = len(by_class["all"].mean)
        # Up to 50, evenly spread.
        shown = np.linspace(0, number - 1, min(number, _CHANNELS)).round().astype(int)
        for axis in column:
            axis.tick_params(labelsize=7)
        for c in [*classes, "all"]:
            style = dict(color=colors.get(c, "black"), linewidth=1, label=c)
            mean, std = (m.numpy()[shown] for m in (by_class[c].mean, by_class[c].std))
            column[0].plot(shown, mean, **style)
            if c in rows:
                axis = column[1 + rows.index(c)]
                axis.plot(shown, mean, **style)
                fill = dict(color=style["color"], alpha=0.3, linewidth=0)
                axis.fill_between(shown, mean - std, mean + std, **fill)
        column[0].set_title(name.removeprefix("backbone."), fontsize=9)
        column[-1].set_xlabel("channel", fontsize=8)
    for axis, label in zip(axes[:, 0], ["mean gate", *rows], strict=True):
        axis.set_ylabel(label, fontsize=9)
    axes[0, 0].legend(fontsize=7)
    return figure


if __name__ == "__main__":
    main()
