"""End a user error in one sentence; a fault of the program keeps its traceback."""

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import mmengine.registry
import mmengine.runner.runner
import torch

from nlse_mm.arguments import blame, frames_of, is_raised, is_stock, last_of, message_of
from nlse_mm.environment.import_errors import explain, reason
from nlse_mm.environment.packages import how_to_install
from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import installed, why_broken
from nlse_mm.torch_version import check_torch

USER_ERROR = 2  # the exit code that argparse and the shell use for a wrong command

_OURS = str(Path(__file__).parents[1])
_REGISTRY = str(Path(mmengine.registry.__file__).parent)
_RUNNER = mmengine.runner.runner.__file__
_BUILDERS = ("build_from_cfg", "build_runner_from_cfg")
_TORCH_DATA = str(Path(torch.utils.data.__file__).parent)
_UNKNOWN = re.compile(r"(?P<name>(?P<scope>\w+)\.\S+) is not in the \S+ registry")
_OF_WORKER = re.compile(r"Caught \w+ in DataLoader worker")


def in_one_sentence(main: Callable[[], None]) -> Callable[[], None]:
    """Make ``main`` end a user error with a sentence on stderr and exit code 2.

    That is a ``ConfigError``, which this package raises on purpose (a misspelt
    ``position``, a PyTorch that is too old), a name or argument that MMEngine's
    registry refuses, or whatever a toolbox's constructor makes of a config; in the
    process itself or in one of its data workers. Of the processes of one machine the
    first one prints it, and each of them where the data is wrong, which is its own.
    ``NLSE_MM_TRACEBACK=1`` shows the traceback of these, too.
    """

    @functools.wraps(main)
    def wrapped() -> None:
        try:
            check_torch()
            main()
        except Exception as error:
            sentence = user_error(error)
            if sentence is None or os.environ.get("NLSE_MM_TRACEBACK"):
                raise
            if os.environ.get("LOCAL_RANK", "0") == "0" or _is_of_data(error):
                print(f"error: {sentence}", file=sys.stderr, flush=True)
            sys.exit(USER_ERROR)

    return wrapped


def user_error(error: Exception) -> str | None:
    """Return the sentence for a user error, None for a fault of the program."""
    if isinstance(error, ConfigError):
        message = _without_traceback(error)
    elif _is_mmengines(error):
        message = message_of(error)
    elif explain(error):
        return reason(error)
    else:
        return _refused_by_a_toolbox(error)
    message = " ".join(message.split())
    return _import_error_behind(message) or message


def _without_traceback(error: ConfigError) -> str:
    """Return the message, also of an error that a data worker raised.

    PyTorch raises it again, in the same class, with the worker's traceback as the
    message. The traceback ends with the class and what it was raised with, below those
    of the errors that it was raised from.
    """
    said, cls = str(error), type(error)
    if _OF_WORKER.match(said):
        return said.rpartition(f"\n{cls.__module__}.{cls.__qualname__}: ")[2]
    return said


def _import_error_behind(message: str) -> str | None:
    """Return why a name isn't registered, if its package's import is to blame."""
    if (unknown := _UNKNOWN.match(message)) is None:
        return None
    scope = unknown["scope"]
    why = why_broken(scope)
    if not installed(scope) and (command := how_to_install(scope)):
        why = f"{scope} is not installed{command}"
    return f"{unknown['name']} is not to be had: {why}" if why else None


def _refused_by_a_toolbox(error: Exception) -> str | None:
    """Return the sentence for what a stock constructor makes of a config, else None.

    Only the toolboxes' code may have had a part in it: an exception of the user's own
    class keeps its traceback, and so does one below ours, except where a constructor
    of ours hands arguments on to its stock parent.
    """
    frames = frames_of(error.__traceback__)
    built = [
        (i, config)
        for i, (frame, _) in enumerate(frames)
        if (config := _config_of(frame)) is not None
    ]
    if not built or isinstance(error, MemoryError):
        return None
    *outer, (last, config) = built
    inner = frames[last + 1 :]
    ours = [i for i, (frame, _) in enumerate(inner) if _is_ours(frame)]
    if ours:
        inner = inner[ours[-1] + 1 :]
        if not inner or not _constructs_ours(inner[0][0]):
            return None
    if not all(is_stock(frame) for frame, _ in inner):
        return None
    given = {key: value for key, value in config.items() if key != "type"}
    said = " ".join(blame(error, given, inner or frames[-1:]).split())
    where = _place(frames[last][0], config, outer[-1][1] if outer else {})
    return f"{where} refuses {said}; NLSE_MM_TRACEBACK=1 shows where"


def _config_of(frame: FrameType) -> Mapping[str, Any] | None:
    """Return what one of MMEngine's functions that build from a config builds from."""
    name, code = frame.f_locals, frame.f_code
    if code.co_filename.startswith(_REGISTRY):
        return name.get("cfg") if code.co_name in _BUILDERS else None
    if code.co_filename == _RUNNER and code.co_name.startswith("build_"):
        return name.get("loop_cfg", name.get("dataloader_cfg"))
    return None


def _place(
    builder: FrameType, config: Mapping[str, Any], outer: Mapping[str, Any]
) -> str:
    """Name a config by its type, and by its key in the one around it."""
    if builder.f_code.co_name == "build_runner_from_cfg":
        return "MMEngine's Runner"
    kind = config.get("type")
    if kind is None:  # build_train_loop, build_dataloader and the like
        return builder.f_code.co_name.removeprefix("build_").replace("_loop", "_cfg")
    for key, value in outer.items():
        if isinstance(value, Mapping) and value.get("type") == kind:
            return f"{key} of {outer.get('type')}: type={kind!r}"
    return f"type={kind!r}"


def _constructs_ours(frame: FrameType) -> bool:
    """Say whether it is a stock constructor at work on an instance of our class."""
    cls = type(frame.f_locals.get("self"))
    return frame.f_code.co_name == "__init__" and cls.__module__.startswith("nlse_mm")


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


def _is_mmengines(error: Exception) -> bool:
    """Say whether MMEngine refused a name, or a value that it can't build from."""
    if not isinstance(error, (KeyError, ValueError, TypeError, OSError, ImportError)):
        return False
    traceback = last_of(error.__traceback__)
    if traceback is None:
        return False
    filename = traceback.tb_frame.f_code.co_filename
    return filename.startswith(_REGISTRY) or (
        filename == _RUNNER and is_raised(traceback)
    )


def _is_of_data(error: Exception) -> bool:
    """Say whether it was raised while a batch was read."""
    return any(
        frame.f_code.co_filename.startswith(_TORCH_DATA)
        for frame, _ in frames_of(error.__traceback__)
    )
