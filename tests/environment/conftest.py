"""Environments that are broken in one way each, for processes of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = "default_scope = 'mmdet'\nmodel = dict(type='MaskRCNN')\n"


@pytest.fixture
def site(tmp_path):
    """A folder before all others on the path, which a test fills."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def run(site, tmp_path):
    """Run Python with arguments in the environment that ``site`` makes."""
    (tmp_path / "config.py").write_text(CONFIG)
    path = os.pathsep.join([str(site), str(ROOT)])

    def call(*arguments, **variables):
        return subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.fixture
def mmcv_without_operators(site):
    """MMCV as it is installed, but for its compiled file; that file's path."""
    real = Path(importlib.util.find_spec("mmcv").origin).parent
    (site / "mmcv").mkdir()
    for entry in real.iterdir():
        if entry.name.startswith("_ext."):
            compiled = site / "mmcv" / entry.name
        elif entry.name != "__pycache__":
            (site / "mmcv" / entry.name).symlink_to(entry)
    return compiled


@pytest.fixture
def distribution(site):
    """Add a distribution's metadata, as pip leaves them."""

    def add(name, version):
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text)

    return add
