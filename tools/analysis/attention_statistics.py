#!/usr/bin/env python
"""Measure how much the attention of non-local blocks depends on the query.

    tools/analysis/attention_statistics.py CONFIG CHECKPOINT data/coco/val2017
    tools/analysis/attention_statistics.py CONFIG CHECKPOINT DATA --number 100

Prints a table, a row for each block: means over the pictures of

input, output, rows   the cosine distance, (1 - cos) / 2, between the block's inputs at
                      two queries, between what it adds there, and between its rows of
                      weights, as table 1 of GCNet: 0 if the query plays no role
entropy               of a row, over a uniform row's: 1 if it looks everywhere alike
distance, uniform     from the query to where it looks, in pixels of the network's
                      input, and what it would be if it looked everywhere alike

with the standard deviation over pictures where it says +-.
"""

import argparse
from pathlib import Path

from model_on_pictures import add_config_options, load_model, read_picture, run
from pictures import DATA_HELP, find_pictures
from rich.console import Console
from rich.progress import track
from torch import Tensor

from nlse_mm.analysis import AttentionMeter
from nlse_mm.analysis.statistics import FIELDS
from nlse_mm.engine.user_error import in_one_sentence


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    parser.add_argument("data", type=Path, help=DATA_HELP)
    parser.add_argument("--number", type=int, help="pictures, evenly spread (all)")
    parser.add_argument("--queries", type=int, default=64, help="in a picture (64)")
    add_config_options(parser)
    return parser.parse_args()


@in_one_sentence
def main() -> None:
    args = parse_args()
    pictures = find_pictures(args.data, args.number)
    model = load_model(args)
    meter = AttentionMeter(model, args.queries)
    with meter.measuring():
        for picture in track(pictures, "Pictures", console=Console(stderr=True)):
            read_picture(picture.path)
            run(model, picture.path)
    print(f"{len(pictures)} pictures, {args.queries} queries in each")
    print(f"| block | {' | '.join(FIELDS)} |")
    print("|:--|" + "--:|" * len(FIELDS))
    for name, moments in meter.moments.items():
        print(f"| {name} | {' | '.join(cells(moments.mean, moments.std))} |")


def cells(mean: Tensor, std: Tensor) -> list[str]:
    """The columns as text: distances in whole pixels, the rest in four digits."""
    texts = []
    for field, m, s in zip(FIELDS, mean.tolist(), std.tolist(), strict=True):
        digits = 0 if field in ("distance", "uniform") else 4
        spread = f" +- {s:.{digits}f}" if s == s else ""
        texts.append(f"{m:.{digits}f}{spread}" if m == m else "-")
    return texts


if __name__ == "__main__":
    main()
