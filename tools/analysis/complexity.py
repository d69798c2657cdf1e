#!/usr/bin/env python
"""Count what configs cost: parameters, multiplications and memory, and their plugins'.

    tools/analysis/complexity.py configs/mask_rcnn_r50_nl.py configs/mask_rcnn_r50_se.py
    tools/analysis/complexity.py configs/*_r101*.py --shape 800 1344 --markdown

A row is a config; beside its own cost is what it has more than its baseline, the same
config without plugins (an SE-ResNet's is the ResNet). The rows below it are its plugin
lines, each alone on that baseline. For one image, without computing it:

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
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nlse_mm.analysis.complexity import Complexity, complexity
from nlse_mm.analysis.plugin_lines import split
from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import installed, why_broken
from nlse_mm.training.user_error import USER_ERROR, in_one_sentence, user_error

COLUMNS = ("config", "M param.", "GMAC", "MiB", "+ M", "+ GMAC", "+ MiB")


@in_one_sentence
def main() -> None:
    args = parse_args()
    warnings.filterwarnings("ignore")
    MMLogger.get_instance("complexity", log_level="ERROR")
    logging.disable(logging.WARNING)
    rows, failures = [], []
    console = Console(stderr=True)
    for path in track(args.configs, "Configs", console=console, transient=True):
        try:
            rows += rows_of(path, tuple(args.shape))
        except Exception as error:  # whatever a foreign model raises
            if os.environ.get("NLSE_MM_TRACEBACK"):
                raise
            failures.append(sentence(path, error))
    if rows:
        show(rows, args)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        sys.exit(USER_ERROR)


def show(rows: list[tuple[str, ...]], args: argparse.Namespace) -> None:
    if args.markdown:
        print(markdown(rows))
        return
    table = Table(COLUMNS[0], title="One image of {} x {}".format(*args.shape))
    for name in COLUMNS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)


def sentence(path: str, error: Exception) -> str:
    """Which config can't be counted, and why."""
    if isinstance(error, ConfigError):
        return str(error)
    said = " ".join(str(error).split())
    why = user_error(error) or f"{type(error).__name__}: {said}"
    return f"the config {path} can't be counted: {why}"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="+")
    parser.add_argument(
        "--shape", nargs=2, type=int, default=(800, 1344), metavar=("H", "W"),
        help="pixels of the image (800 1344)",
    )  # fmt: skip
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    return parser.parse_args()


def rows_of(path: str, shape: tuple[int, int]) -> list[tuple[str, ...]]:
    """The rows of one config: its own, and one for each plugin line."""
    if not Path(path).is_file():
        raise ConfigError(f"the config {path} does not exist")
    config = Config.fromfile(path)
    if "model" not in config:
        raise ConfigError(f"the config {path} has no model")
    scope = config.get("default_scope") or "mmengine"
    missing = None if installed(scope) else f"{scope} is not installed"
    if why := missing or why_broken(scope, "MODELS"):
        raise ConfigError(f"the config {path} has default_scope={scope!r}, and {why}")
    with DefaultScope.overwrite_default_scope(config.get("default_scope")):
        own = count(
            config.model.to_dict(), shape
        )  # first, for it checks what is written
        baseline, lines = split(config.model.to_dict())
        plain = count(baseline, shape) if lines else own
        rows = [(Path(path).stem, *numbers(own), *signed(own - plain))]
        for words, alone in lines.items():
            # A config's only line is the config.
            cost = own if len(lines) == 1 else count(alone, shape)
            rows.append((f"  {words}", "", "", "", *signed(cost - plain)))
    return rows


def count(model: dict, shape: tuple[int, int]) -> Complexity:
    built = MODELS.build(ConfigDict(model))  # init_weights would load its weights
    return complexity(built, (1, 3, *shape), mode="tensor")


def numbers(cost: Complexity, sign: str = "") -> tuple[str, ...]:
    return (
        f"{cost.parameters / 1e6:{sign}.2f}",
        f"{cost.macs / 1e9:{sign}.2f}",
        f"{cost.kept_bytes / 2**20:{sign}.1f}",
    )


def signed(cost: Complexity) -> tuple[str, ...]:
    return numbers(cost, sign="+")


def markdown(rows: list[tuple[str, ...]]) -> str:
    rows = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1)), *rows]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows)


if __name__ == "__main__":
    main()
