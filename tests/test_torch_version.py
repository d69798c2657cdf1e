"""A PyTorch that is too old ends in one sentence, before anything else."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlse_mm.torch_version import too_old

ROOT = Path(__file__).parents[1]
SENTENCE = "nlse_mm needs PyTorch 2.1 or newer, and 2.0.1+cu118 is installed"


def in_older(code, *arguments):
    """Run code in a process whose PyTorch says that it is 2.0.1."""
    code = f"import torch; torch.__version__ = '2.0.1+cu118'; {code}"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("version", ["2.0.1+cu118", "1.13.1", "2.0.0a0+git1"])
def test_what_is_older_is_named(version):
    assert version in too_old(version)


@pytest.mark.parametrize(
    "version", ["2.1.0a0+32f93b1", "2.1.2+cu121", "2.13.0", "3.0.0", torch.__version__]
)
def test_what_is_as_new_is_taken(version):
    assert too_old(version) is None


@pytest.mark.parametrize("module", ["ops", "plugins", "backbones"])
def test_an_import_ends_in_the_sentence(module):
    done = in_older(f"import nlse_mm.{module}")
    assert done.returncode == 1
    assert done.stderr.endswith(f"nlse_mm.errors.ConfigError: {SENTENCE}\n")


@pytest.mark.parametrize("tool", ["train.py", "test.py"])
def test_a_launcher_says_it_before_it_reads_the_config(tool):
    code = f"import runpy; runpy.run_path('tools/{tool}', run_name='__main__')"
    done = in_older(code, "nowhere.py", *["nowhere.pth"][: tool == "test.py"])
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {SENTENCE}"


def test_a_config_that_names_our_types_says_it_in_the_toolboxes_own_tools():
    code = (
        "from mmengine.registry import MODELS; "
        "MODELS.build(dict(type='nlse_mm.NonLocal2d', in_channels=2))"
    )
    assert SENTENCE in in_older(code).stderr
