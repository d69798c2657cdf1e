"""The command line of the scripts that make data."""

import argparse
from pathlib import Path

from nlse_mm.training.command_line import at_least, make_parser


def parse(
    doc: str,
    argv: list[str] | None,
    train: int = 0,
    val: int = 0,
    what: str = "images",
    **options: dict,
) -> argparse.Namespace:
    """Read the command line of a script that makes data.

    Args:
        doc: The script's docstring.
        argv: The arguments; None for those of the process.
        train: How many it draws to train with unless told; 0 if it draws none.
        val: Likewise to validate with.
        what: It draws, for the help.
        options: Those that only this script has: ``add_argument``'s keywords.
    """
    parser = make_parser(doc)
    parser.add_argument("target", type=Path, help="folder to make, new or empty")
    options = {
        split: dict(type=at_least(1), default=count, help=f"{what} ({count})")
        for split, count in (("train", train), ("val", val))
        if count
    } | options
    options["seed"] = dict(type=at_least(0), default=0, help="0 or more (0)")
    for name, keywords in options.items():
        parser.add_argument(f"--{name}", **keywords)
    return parser.parse_args(argv)
