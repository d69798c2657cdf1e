"""What the command lines of several tools have in common, declared once."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import DictAction


def make_parser(doc: str | None) -> argparse.ArgumentParser:
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
        action=action or "store",
        type=_key_and_value,
        default={} if action else [],
        metavar="KEY=VALUE",
        help="replace settings of the config, such as train_cfg.max_epochs=1 or "
        'model.backbone.out_indices="(0,1)" (no spaces in a value)',
    )
    own = parser.get_default("work_dir")
    parser.set_defaults(launcher="none", work_dir=own, local_rank=0)


def add_output(
    parser: argparse.ArgumentParser, is_folder: bool = False, **kwargs: Any
) -> None:
    """Add ``--output``, the path of a file or of a folder; ``--out`` is the same."""
    kind = output_path if is_folder else output_file
    parser.add_argument("--output", "--out", type=kind, **kwargs)


def output_file(text: str) -> Path:
    """Return an argument as the path of a file to write; its folder may be missing."""
    path = output_path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder, not a file to write")
    if path.exists() and not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} is a file that can't be written to")
    return path


def output_path(text: str) -> Path:
    """Return an argument as a path in a folder that can be written to, or be made."""
    path = Path(text)
    folder = next(f for f in path.absolute().parents if f.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"{text}: {folder} is not a folder that can be written to"
        )
    return path


def at_least(least: int) -> Callable[[str], int]:
    """Return an argument's type: a whole number of ``least`` or more."""

    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not {least} or more")
        return int(text)

    return integer


def _key_and_value(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text} is not KEY=VALUE")
    return text
