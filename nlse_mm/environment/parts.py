"""Try every part of nlse_mm: whether it can be imported, and its names are found.

What lies above this folder is imported by its name alone, for the page has to come up
where it can't be.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .findings import Finding
from .import_errors import reason
from .packages import TOOLBOXES

SECTION = "nlse_mm"
PARTS = (
    *("plugins", "backbones", "segmentation", "keypoints"),
    *("checkpoint", "training", "analysis"),
)


def parts() -> Iterator[Finding]:
    """Yield each folder that configs and commands use, with the error of its import."""
    try:
        registry = import_module("nlse_mm.registry")
    except Exception as error:  # an import is a program: anything may come out of it
        yield Finding(SECTION, "broken", "registry", reason(error))
        return
    extended = {t.folder: t for t in TOOLBOXES if t.folder}
    for part in PARTS:
        toolbox = extended.get(part)
        if toolbox and not find_spec(toolbox.name):
            yield Finding(SECTION, "missing", part, f"needs {toolbox.title}")
            continue
        try:
            import_module(f"nlse_mm.{part}")
            names = _registered(registry, f"nlse_mm.{part}")
        except Exception as error:
            yield Finding(SECTION, "broken", part, reason(error))
        else:
            yield Finding(SECTION, "ok", part, ", ".join(names) or "imports")


def _registered(registry: Any, folder: str) -> list[str]:
    """Return the names that a folder registers, each found as a config finds it.

    Raises:
        LookupError: If MMEngine finds something else under one of them.
    """
    found = []
    for child in list(vars(registry).values()):
        if not isinstance(child, import_module("mmengine.registry").Registry):
            continue
        for name, cls in list(child.module_dict.items()):
            if not cls.__module__.startswith(f"{folder}."):
                continue
            if child.parent.get(f"{child.scope}.{name}") is not cls:
                raise LookupError(f"{child.scope}.{name} isn't found by MMEngine")
            found.append(name)
    return sorted(found)
