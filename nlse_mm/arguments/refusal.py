"""Find which argument the toolboxes' own code refused, and why."""

import dis
import linecache
import re
import sys
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE

from .names import short

_STOCK = {
    *("torch", "torchvision", "timm", "numpy", "pycocotools", "mmengine", "mmcv"),
    *MODULE2PACKAGE,  # OpenMMLab's toolboxes
    *sys.stdlib_module_names,
}

# MMCV's functions that build a layer from a config, and what constructors call that.
_BUILDERS = dict(
    build_norm_layer="norm_cfg",
    build_conv_layer="conv_cfg",
    build_activation_layer="act_cfg",
)
Frames = list[tuple[FrameType, int]]


def refusal(error: Exception, given: Mapping[str, Any]) -> str | None:
    """Return which of the arguments ``given`` a stock constructor refused, and why.

    Args:
        error: What it raised, caught in the function that called it.
        given: The arguments that it was given.

    Returns:
        ``"depth=51 (KeyError: invalid depth 51 for resnet)"``; None if other code than
        the toolboxes', MMCV's, MMEngine's and PyTorch's had a part in it, ours or the
        user's own, which may be at fault.
    """
    frames = frames_of(error.__traceback__)
    if not all(is_stock(frame) for frame, _ in frames[1:]):
        return None
    return blame(error, given, frames)


def layer_refusal(error: Exception, given: Mapping[str, Any]) -> str | None:
    """Return, as ``refusal``, why MMCV built no layer from a config in ``given``."""
    frames = frames_of(error.__traceback__)
    # From the innermost code that isn't stock: what that called is MMCV's.
    last = max(i for i, (frame, _) in enumerate(frames) if not is_stock(frame))
    for place, (frame, _) in enumerate(frames[last:]):
        key = _BUILDERS.get(frame.f_code.co_name)
        if place and key is not None and given.get(key) is not None:
            return blame(error, {key: given[key]}, frames)
    return None


def blame(error: Exception, given: Mapping[str, Any], frames: Frames) -> str:
    """Return the arguments that the message names, or the innermost statement does."""
    statements = (_statement(*place) for place in reversed(frames))
    for text in (str(error), *statements):
        named = [key for key in given if re.search(rf"\b{re.escape(key)}\b", text)]
        if named:
            break
    else:
        named = list(given)
    written = (
        ", ".join(f"{key}={short(given[key])}" for key in named) or "its arguments"
    )
    return f"{written} ({_reason(error, *frames[-1])})"


def frames_of(traceback: TracebackType | None) -> Frames:
    """Return frame and line number of the calls that led to it, outermost first."""
    frames = []
    while traceback:
        frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames


def is_stock(frame: FrameType) -> bool:
    """Return whether it runs code of a toolbox, or of the libraries below them."""
    return is_stock_module(frame.f_globals.get("__name__", ""))


def is_meant(error: Exception) -> bool:
    """Return whether a ``raise`` threw it, or a library; else its code is at fault."""
    traceback = last_of(error.__traceback__)
    return traceback is not None and (
        is_stock(traceback.tb_frame) or is_raised(traceback)
    )


def last_of(traceback: TracebackType | None) -> TracebackType | None:
    """Return the innermost part, where the exception was raised."""
    while traceback is not None and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback


def is_raised(traceback: TracebackType) -> bool:
    """Return whether the frame of the innermost part was at a ``raise`` statement."""
    code = traceback.tb_frame.f_code.co_code
    return code[traceback.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def is_stock_module(name: str) -> bool:
    """Return whether a module of that name is a toolbox's, or of a library below."""
    return name.split(".")[0] in _STOCK


def message_of(error: Exception) -> str:
    """Return what an exception says, without MMEngine's advice for unknown names.

    The advice is about modules of one's own, which the user may not have.
    """
    # A KeyError's str() is the repr of its message.
    is_key = isinstance(error, KeyError) and len(error.args) == 1
    return str(error.args[0] if is_key else error).split(" Please check whether")[0]


def _reason(error: Exception, frame: FrameType, number: int) -> str:
    message = message_of(error) or _assertion(frame, number)
    return f"{type(error).__name__}: {' '.join(message.split())}"


def _assertion(frame: FrameType, number: int) -> str:
    """Return the whole ``assert`` of which a line failed."""
    first = number
    while first > number - 10 and not _line(frame, first).startswith("assert"):
        first -= 1
    return _statement(frame, first if first > number - 10 else number)


def _statement(frame: FrameType, number: int) -> str:
    """Return the source from a line until its brackets are closed."""
    text = ""
    for place in range(number, number + 20):
        line = _line(frame, place)
        text += " " + line.removesuffix("\\")
        closed = all(text.count(a) <= text.count(b) for a, b in ("()", "[]", "{}"))
        if closed and not line.endswith("\\"):
            break
    return " ".join(text.split())


def _line(frame: FrameType, number: int) -> str:
    return linecache.getline(frame.f_code.co_filename, number).strip()
