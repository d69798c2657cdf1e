#!/usr/bin/env python
"""Count what configs cost: parameters, multiplications and memory, and their plugins'.

    tools/analysis/complexity.py configs/mask_rcnn_r50_nl.py configs/mask_rcnn_r50_se.py
    tools/analysis/complexity.py configs/*_r101*.py --shape 800 1344 --markdown
    tools/analysis/complexity.py configs/c2d_r50_*.py --frames 32 --shape 256 256

A row is a config; beside its own cost is what it has more than its baseline, the same
config without plugins (an SE backbone's is the one without SE layers). The rows below
it are its plugin entries, each alone on that baseline. For one image, or one clip
where the config is a recognizer, not computed:

M param.  millions of parameters
GMAC      billions of multiply-accumulates of convolutions and matrix products, forward
MiB       what the forward pass keeps for the backward pass, beside the parameters

Two-stage detectors get 1,000 regions, of which 100 get masks or keypoints; auxiliary
heads of segmentation models, which only training has, aren't counted. A config that
can't be counted is named below the table with the reason, and the exit code is 2.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from arguments import add_cfg_options, at_least_one, make_parser
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nlse_mm.analysis.complexity import Complexity, complexity
from nlse_mm.analysis.plugin_entries import split
from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import CLASSIFICATION, VIDEO
from nlse_mm.training.config import load_config
from nlse_mm.training.user_error import USER_ERROR, in_one_sentence, user_error

COLUMNS = ("config", "M param.", "GMAC", "MiB", "+ M", "+ GMAC", "+ MiB")
IMAGE, CROP, CLIP = (800, 1344), (224, 224), (32, 224, 224)  # (H, W), (T, H, W)
Row = tuple[str, ...]
Shape = tuple[int, ...]


@in_one_sentence
def main() -> None:
    args = parse()
    warnings.filterwarnings("ignore")
    MMLogger.get_instance("complexity", log_level="ERROR")
    logging.disable(logging.WARNING)
    rows, failures, shapes = [], [], []
    console = Console(stderr=True)
    for path in track(args.configs, "Configs", console=console, transient=True):
        try:
            config = load_config(argparse.Namespace(**vars(args), config=path))
            shape = shape_of(path, config, args)
            rows += rows_of(path, config, shape)
            shapes.append(shape)
        except ConfigError as error:
            if os.environ.get("NLSE_MM_TRACEBACK"):
                raise
            failures.append(error)
    if rows:
        show(rows, dict.fromkeys(shapes), args)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        sys.exit(USER_ERROR)


def parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("configs", nargs="+")
    words = "pixels of the image ({} {}), a classifier's or a clip's frames ({} {})"
    words = words.format(*IMAGE, *CROP)
    add("--shape", nargs=2, type=at_least_one, metavar=("H", "W"), help=words)
    add("--frames", type=at_least_one, help=f"of a recognizer's clip ({CLIP[0]})")
    add("--markdown", action="store_true", help="print Markdown")
    add_cfg_options(parser)
    return parser.parse_args()


def shape_of(path: str, config: Config, args: argparse.Namespace) -> Shape:
    """Return the shape that a config is counted on: what was asked for, or its kind's.

    Raises:
        ConfigError: If frames were asked for, of a model of images.
    """
    if config.get("default_scope") == VIDEO.scope:
        frames, *size = CLIP
        return args.frames or frames, *(args.shape or size)
    if args.frames:
        raise ConfigError(f"--frames {args.frames}: the config {path} takes images")
    is_classifier = config.get("default_scope") == CLASSIFICATION.scope
    return (*(args.shape or (CROP if is_classifier else IMAGE)),)


def rows_of(path: str, config: Config, shape: Shape) -> list[Row]:
    """Count one config: its own row, and one for each plugin entry.

    Args:
        path: The config's.
        config: What it says.
        shape: Of the image, (H, W), or of the clip, (T, H, W).

    Raises:
        ConfigError: For whatever goes wrong; it names the config.
    """
    model = config.model.to_dict()
    try:
        with DefaultScope.overwrite_default_scope(config.get("default_scope")):
            own = count(model, shape)  # first, for it checks what is written
            baseline, entries = split(model)
            plain = count(baseline, shape) if entries else own
            # A config's only entry is the config.
            single = len(entries) == 1
            costs = {n: own if single else count(c, shape) for n, c in entries.items()}
    except Exception as error:  # whatever a foreign model raises
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        why = user_error(error) or said
        raise ConfigError(f"the config {path} can't be counted: {why}") from error
    rows = [(Path(path).stem, *cells(own), *cells(own - plain, "+"))]
    for words, cost in costs.items():
        rows.append((f"  {words}", "", "", "", *cells(cost - plain, "+")))
    return rows


def count(model: dict, shape: Shape) -> Complexity:
    built = MODELS.build(ConfigDict(model))  # init_weights would load its weights
    if len(shape) == 2:
        return complexity(built, (1, 3, *shape), mode="tensor")
    frames, *size = shape
    views = (1, 1, 3, frames, *size)  # a clip is a view of a video: (N, views, C, T, *)
    if built.data_preprocessor.format_shape == "NCHW":  # and here a frame is
        views = (1, frames, 3, *size)
    # With the classifier, which a recognizer leaves out unless it is asked for.
    return complexity(built, views, mode="tensor", stage="head")


def cells(cost: Complexity, sign: str = "") -> Row:
    return (
        f"{cost.parameters / 1e6:{sign}.2f}",
        f"{cost.macs / 1e9:{sign}.2f}",
        f"{cost.kept_bytes / 2**20:{sign}.1f}",
    )


def show(rows: list[Row], shapes: Iterable[Shape], args: argparse.Namespace) -> None:
    """Print the table, as Markdown where that was asked for."""
    if args.markdown:
        for row in (COLUMNS, ("---", *["---:"] * 6), *rows):
            print(f"| {' | '.join(cell.strip() for cell in row)} |")
        return
    sizes = [
        f"{'image' if len(s) == 2 else 'clip'} of " + " x ".join(map(str, s))
        for s in shapes
    ]
    table = Table(COLUMNS[0], title=f"One {', one '.join(sizes)}")
    for name in COLUMNS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)


if __name__ == "__main__":
    main()
