"""A user's mistake ends in one sentence; a fault of the program keeps its traceback."""

import functools
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import mmengine.registry
import torch

from nlse_mm.checkpoint import CheckpointError
from nlse_mm.registry import why_broken

USERS_MISTAKE = 2  # the exit code that argparse and the shell use for a wrong command

_OURS = str(Path(__file__).parents[1])
_REGISTRY = str(Path(mmengine.registry.__file__).parent)
_TORCH_DATA = str(Path(torch.utils.data.__file__).parent)
_UNKNOWN = re.compile(r"(?P<name>(?P<scope>\w+)\.\S+) is not in the \S+ registry")
# What PyTorch makes of an exception in a data worker: its traceback as the message.
_WORKERS = re.compile(
    r"""Caught\ \w+\ in\ DataLoader\ worker.*
    ^\ \ File\ "(?P<file>[^"]+)",\ line\ \d+,\ in\ \S+\n  # the innermost frame
    \ +(?P<line>[^\n]*)\n
    (?:\ [^\n]*\n)*
    [\w.]+:\ (?P<sentence>.*)\Z""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


class UserError(Exception):
    """What the user asked for can't be done; the message is one sentence."""


def in_one_sentence(main: Callable[[], None]) -> Callable[[], None]:
    """Make ``main`` end a user's mistake with a sentence on stderr and exit code 2.

    A mistake is a ``UserError``, a ``CheckpointError``, an exception that a ``raise``
    of this package throws on purpose (a misspelt ``position``), or a name or argument
    that MMEngine's registry refuses; in the process itself or in one of its data
    workers. Of the processes of one machine the first one speaks, and each of them
    where the data is wrong, which is its own. ``NLSE_MM_TRACEBACK=1`` shows the
    traceback of these, too.
    """

    @functools.wraps(main)
    def wrapped() -> None:
        try:
            main()
        except Exception as error:
            sentence = users_mistake(error)
            if sentence is None or os.environ.get("NLSE_MM_TRACEBACK"):
                raise
            if os.environ.get("LOCAL_RANK", "0") == "0" or _is_of_data(error):
                print(f"error: {sentence}", file=sys.stderr, flush=True)
            sys.exit(USERS_MISTAKE)

    return wrapped


def users_mistake(error: Exception) -> str | None:
    """The sentence for a user's mistake, or None if it is a fault of the program."""
    workers = _WORKERS.match(str(error))
    if workers and _is_our_raise(workers["file"], workers["line"]):
        return " ".join(workers["sentence"].split())
    if isinstance(error, (UserError, CheckpointError)) or _is_deliberate(error):
        # A KeyError's str() is the repr of its message.
        is_key = isinstance(error, KeyError) and len(error.args) == 1
        message = str(error.args[0] if is_key else error)
        # MMEngine's advice for an unknown name is about modules of one's own.
        message = " ".join(message.split(" Please check whether")[0].split())
        return _import_error_behind(message) or message
    return None


def _import_error_behind(message: str) -> str | None:
    """Why a name isn't registered, where MMEngine swallowed the error of an import."""
    unknown = _UNKNOWN.match(message)
    why = unknown and why_broken(unknown["scope"])
    return f"{unknown['name']} is not to be had: {why}" if why else None


def _is_deliberate(error: Exception) -> bool:
    if not isinstance(error, (KeyError, ValueError, TypeError, OSError, ImportError)):
        return False
    *_, (filename, line) = _frames(error.__traceback__)
    return filename.startswith(_REGISTRY) or _is_our_raise(filename, line)


def _is_our_raise(filename: str, line: str) -> bool:
    return filename.startswith(_OURS) and line.startswith("raise ")


def _is_of_data(error: Exception) -> bool:
    """Whether it was thrown while a batch was read."""
    return any(
        filename.startswith(_TORCH_DATA) for filename, _ in _frames(error.__traceback__)
    )


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, str]]:
    """File and source line of the calls that led to an exception, outermost first."""
    while traceback:
        filename = traceback.tb_frame.f_code.co_filename
        yield filename, linecache.getline(filename, traceback.tb_lineno).strip()
        traceback = traceback.tb_next
