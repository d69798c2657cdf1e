"""Expand a plugin entry with a pattern into one for each module that it fits."""

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import translate

from torch import nn

from .entries import ModelEntry

# No module's name has them.
_SIGNS = re.compile(r"[*?\[]")


def expand_patterns(
    model: nn.Module, entries: Sequence[ModelEntry]
) -> list[ModelEntry]:
    """Return the entries with each pattern replaced by the paths that it fits.

    As in a shell, ``*``, ``?`` and ``[1-3]`` stand for a part of one name, never for a
    dot: ``'layer*.*.conv'`` fits ``'layer1.0.conv'`` and not ``'layer1.conv'``. The
    paths come in the model's order. A pattern that fits nothing stays, as the path of
    no module.
    """
    modules = model.named_modules(remove_duplicate=False)
    paths = [path for path, _ in modules if path]  # the first is the model's own
    expanded = []
    for entry in entries:
        fitting = _fitting(entry.after, paths) if entry.after else []
        expanded += [replace(entry, after=path) for path in fitting] or [entry]
    return expanded


def _fitting(pattern: str, paths: list[str]) -> list[str]:
    if not _SIGNS.search(pattern):
        return []
    names = [re.compile(translate(name)) for name in pattern.split(".")]
    return [path for path in paths if _fits(path.split("."), names)]


def _fits(path: list[str], names: list[re.Pattern[str]]) -> bool:
    return len(path) == len(names) and all(
        name.match(part) for name, part in zip(names, path, strict=True)
    )
