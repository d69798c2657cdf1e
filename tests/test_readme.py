"""What the README says is true: its snippets run, its commands exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "configs" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def snippets(language):
    return [
        pytest.param(body, id=f"{path.stem}-{number}")
        for path in DOCUMENTS
        for number, body in enumerate(
            re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)
        )
    ]


@pytest.mark.parametrize("body", snippets("python"))
def test_a_python_snippet_runs(body, in_mmdet):
    """A snippet that defines a model is a config: its backbone is built."""
    names = {}
    exec(body, names)
    if "model" in names:
        MODELS.build(Config(dict(model=names["model"])).model.backbone)


def commands():
    for parameter in snippets("bash"):
        for number, line in enumerate(parameter.values[0].splitlines()):
            words = shlex.split(line, comments=True)
            if any(word.startswith("tools/") for word in words):
                yield pytest.param(words, id=f"{parameter.id}-{number}")


@pytest.mark.parametrize("words", commands())
def test_a_command_names_what_is_there(words):
    for word in words:
        if word.startswith(("tools/", "configs/")):
            assert list(ROOT.glob(word)), word


@pytest.mark.parametrize("words", commands())
def test_a_commands_options_are_those_of_its_script(words):
    script = next(word for word in words if word.startswith("tools/"))
    options = {w.split("=")[0] for w in words if w.startswith("--")}
    if not options:
        return
    name = "test" if "test" in script else "train"
    if script.endswith(".sh"):
        script = f"tools/{name}.py"
    done = subprocess.run(
        [sys.executable, ROOT / script, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert options <= set(re.findall(r"--[\w-]+", done.stdout))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_its_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target
