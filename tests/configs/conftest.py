"""Configs read once: resolving a toolbox's bases takes longer than building on meta."""

import copy
import functools
from pathlib import Path

import pytest
from mmengine.config import Config

from nlse_mm import config_file


@functools.cache
def _read(path: Path) -> Config:
    try:
        return config_file.read_config(path)
    except ModuleNotFoundError as error:  # the toolbox of its base is not installed
        return pytest.skip(str(error))


@pytest.fixture
def read_config():
    """A function from a path to its config, which the test may change."""
    return lambda path: copy.deepcopy(_read(Path(path)))
