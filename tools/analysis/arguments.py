"""The command line of the tools: what several of them take, in one form."""

import argparse
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from nlse_mm.errors import ConfigError
from nlse_mm.training.config import add_cfg_options

__all__ = [
    "add_cfg_options",
    "add_output",
    "at_least_one",
    "check_figure",
    "make_parser",
    "save_figure",
]


def make_parser(doc: str) -> argparse.ArgumentParser:
    """Make a parser that shows a tool's docstring as it is written."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_output(parser: argparse.ArgumentParser, **kwargs) -> None:
    """Add ``--output``, a path; ``--out`` is the same."""
    parser.add_argument("--output", "--out", type=Path, **kwargs)


def at_least_one(text: str) -> int:
    """Read a whole number of 1 or more."""
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not 1 or more")


def check_figure(path: Path) -> None:
    """Refuse a file that Matplotlib can't write, before the work for it begins.

    Raises:
        ConfigError: If the suffix is not that of an image.
    """
    suffixes = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:] not in suffixes:
        raise ConfigError(f"--out {path} does not end in one of {', '.join(suffixes)}")


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write ``figure`` into a folder that may not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi)
