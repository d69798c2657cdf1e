"""What several tools of this folder take from their command lines, and write."""

from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from nlse_mm.errors import ConfigError
from nlse_mm.training.command_line import (
    add_cfg_options,
    add_output,
    at_least,
    make_parser,
)

__all__ = [
    "add_cfg_options",
    "add_output",
    "at_least",
    "at_least_one",
    "check_figure",
    "make_parser",
    "save_figure",
]


at_least_one = at_least(1)


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
