"""Read a config file whose bases belong to whatever distribution is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from .environment.packages import find_package, to_install
from .toolbox import installed


def read_config(path: str | Path) -> Config:
    """Read a config file, as ``Config.fromfile`` does, in OneDL's packages too.

    There ``Config.fromfile`` itself doesn't find all bases ``'SCOPE::FOLDER/NAME.py'``:
    MMEngine looks for one distribution per scope, and OneDL's has another name.
    """
    with _installed_bases():
        return Config.fromfile(path)


@contextmanager
def _installed_bases() -> Iterator[None]:
    """Let MMEngine's table of distributions name what is installed, or could be."""
    table = dict(MODULE2PACKAGE)
    for scope, distribution in table.items():
        if _pip_has(distribution):
            continue
        if installed(scope):
            # MMEngine takes the name of a package to import as well.
            MODULE2PACKAGE[scope] = scope
        elif package := find_package(scope):
            MODULE2PACKAGE[scope] = to_install(package)
    try:
        yield
    finally:
        MODULE2PACKAGE.update(table)


def _pip_has(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
