"""The launchers, run in this process and in an empty folder."""

import runpy
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def launch(monkeypatch, tmp_path):
    """Call a tool with arguments, as in a new process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "0")

    def call(script, *arguments):
        visualizers = (Visualizer, *Visualizer.__subclasses__())
        for cls in (DefaultScope, MessageHub, MMLogger, *visualizers):
            monkeypatch.setattr(cls, "_instance_dict", OrderedDict())
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(TOOLS / script), run_name="__main__")

    return call


@pytest.fixture
def sentence_of(launch, capfd):
    """Run a tool that has to refuse, and return its sentence."""

    def run(script, *arguments):
        with pytest.raises(SystemExit) as ended:
            launch(script, *arguments)
        assert ended.value.code == 2
        assert not list(Path().rglob("epoch_*.pth"))
        errors = capfd.readouterr().err.strip().splitlines()
        said = [line for line in errors if line.startswith("error: ")]
        assert said == errors[-1:]
        return said[0]

    return run
