"""Stand in for what a toolbox imports and its release lacks."""

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from .packages import TOOLBOXES, Package


class StandIns(MetaPathFinder, Loader):
    """Find the modules that releases lack, after everybody else has been asked."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return a spec for a module that a release is known to lack."""
        package = _lacking(fullname)
        if package is None:
            return None
        is_package = fullname != f"{package.name}.{package.lacks}"
        return ModuleSpec(fullname, self, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        """Define the one class that is imported from there; log that once."""
        package = _lacking(module.__name__)
        if package is None or module.__name__ != f"{package.name}.{package.lacks}":
            return
        name = package.lacks.rpartition(".")[2].upper()
        setattr(module, name, _stand_in(package, name))
        if os.environ.get("LOCAL_RANK", "0") == "0":
            from mmengine.logging import print_log

            print_log(what_stands_in(package), logger="current")


def install_stand_ins() -> None:
    """Let the toolboxes be imported whose releases lack a module."""
    if not any(isinstance(finder, StandIns) for finder in sys.meta_path):
        sys.meta_path.append(StandIns())  # last: what is there is found by others


def what_stands_in(package: Package) -> str:
    """Return what nlse_mm stands in for in an imported package; nothing if nothing."""
    module = sys.modules.get(f"{package.name}.{package.lacks}")
    if not isinstance(getattr(module, "__loader__", None), StandIns):
        return ""
    return f"nlse_mm stands in for {_what(package)}, so that the rest can be imported"


def _lacking(fullname: str) -> Package | None:
    """Return the package whose release lacks that module, or the folder of it."""
    for package in TOOLBOXES:
        module = f"{package.name}.{package.lacks}"
        if package.lacks and fullname in (module, module.rpartition(".")[0]):
            return package
    return None


def _what(package: Package) -> str:
    return (
        f"{package.name}.{package.lacks}, which {package.title}'s release lacks "
        f"({package.issue})"
    )


def _stand_in(package: Package, name: str) -> type:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImportError(f"{name} is of {_what(package)}")

    return type(name, (), {"__init__": refuse})
