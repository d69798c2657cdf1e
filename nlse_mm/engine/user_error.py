"""A user's mistake ends in one sentence; a fault of the program keeps its traceback."""

import functools
import linecache
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import mmengine.registry

from nlse_mm.checkpoint import CheckpointError

USERS_MISTAKE = 2  # the exit code that argparse and the shell use for a wrong command

_OURS = str(Path(__file__).parents[1])
_REGISTRY = str(Path(mmengine.registry.__file__).parent)


class UserError(Exception):
    """What the user asked for can't be done; the message is one sentence."""


def in_one_sentence(main: Callable[[], None]) -> Callable[[], None]:
    """Make ``main`` end a user's mistake with a sentence on stderr and exit code 2.

    A mistake is a ``UserError``, a ``CheckpointError``, an exception that a ``raise``
    of this package throws on purpose (a misspelt ``position``), or a name or argument
    that MMEngine's registry refuses. Of the processes of one machine the first one
    speaks. ``NLSE_MM_TRACEBACK=1`` shows the traceback of these, too.
    """

    @functools.wraps(main)
    def wrapped() -> None:
        try:
            main()
        except Exception as error:
            sentence = users_mistake(error)
            if sentence is None or os.environ.get("NLSE_MM_TRACEBACK"):
                raise
            if os.environ.get("LOCAL_RANK", "0") == "0":
                print(f"error: {sentence}", file=sys.stderr, flush=True)
            sys.exit(USERS_MISTAKE)

    return wrapped


def users_mistake(error: Exception) -> str | None:
    """The sentence for a user's mistake, or None if it is a fault of the program."""
    if isinstance(error, (UserError, CheckpointError)) or _is_deliberate(error):
        # A KeyError's str() is the repr of its message.
        is_key = isinstance(error, KeyError) and len(error.args) == 1
        message = str(error.args[0] if is_key else error)
        # MMEngine's advice for an unknown name is about modules of one's own.
        return " ".join(message.split(" Please check whether")[0].split())
    return None


def _is_deliberate(error: Exception) -> bool:
    if not isinstance(error, (KeyError, ValueError, TypeError, OSError, ImportError)):
        return False
    filename, line = _origin(error.__traceback__)
    if filename.startswith(_REGISTRY):
        return True
    return filename.startswith(_OURS) and line.startswith("raise ")


def _origin(traceback: TracebackType) -> tuple[str, str]:
    """File and source line at which an exception was thrown."""
    while traceback.tb_next:
        traceback = traceback.tb_next
    filename = traceback.tb_frame.f_code.co_filename
    return filename, linecache.getline(filename, traceback.tb_lineno).strip()
