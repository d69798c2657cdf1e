"""The command line of the scripts that make data."""

import argparse
from pathlib import Path

from nlse_mm.training.command_line import at_least, make_parser


def parse(
    doc: str,
    argv: list[str] | None,
    train: int,
    val: int,
    what: str = "images",
    **options: dict,
) -> argparse.Namespace:
    """Read the command line of a script that draws ``train`` and ``val`` images.

    ``options`` are those that only this script has: ``add_argument``'s keywords;
    ``what`` it draws is for the help.
    """
    parser = make_parser(doc)
    parser.add_argument("target", type=Path, help="folder to make, new or empty")
    options = dict(
        train=dict(type=at_least(1), default=train, help=f"{what} ({train})"),
        val=dict(type=at_least(1), default=val, help=f"{what} ({val})"),
        **options,
        seed=dict(type=at_least(0), default=0, help="0 or more (0)"),
    )
    for name, keywords in options.items():
        parser.add_argument(f"--{name}", **keywords)
    return parser.parse_args(argv)
