"""The command line of the tools: what several of them take, in one form."""

import argparse
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from mmengine.config import DictAction

from nlse_mm.errors import ConfigError


def make_parser(doc: str) -> argparse.ArgumentParser:
    """Make a parser that shows a tool's docstring as it is written."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_cfg_options(
    parser: argparse.ArgumentParser, action: type[argparse.Action] | None = DictAction
) -> None:
    """Add ``--cfg-options``, and what ``load_config`` asks for beyond it.

    Without an ``action`` they stay words.
    """
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=action,
        default={} if action else [],
        metavar="KEY=VALUE",
        help="replace settings of the config",
    )
    own = parser.get_default("work_dir")
    parser.set_defaults(launcher="none", work_dir=own, local_rank=0)


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
