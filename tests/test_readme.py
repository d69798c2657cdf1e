"""What the README says is true: its snippets run, its commands exist."""

import re

import pytest
from fences import DOCUMENTS, ROOT, commands, snippets
from mmengine.config import Config
from mmengine.registry import MODELS

from nlse_mm.placement.entries import POSITIONS

# The files of docs/own_plugin.md are run by tests/tools/test_own_plugin.py.
PYTHON = {n: body for n, body in snippets("python") if "own_plugin" not in n}
COMMANDS = dict(commands())
PLACES = ("", "nlse_mm", "nlse_mm/checkpoint", "tools/analysis")  # where paths start


@pytest.mark.parametrize("body", PYTHON.values(), ids=PYTHON)
def test_a_python_snippet_runs(body, in_mmdet):
    """A snippet that defines a model as a dict is a config: its backbone is built."""
    for package in re.findall(r"^(?:import|from) (\w+)", body, re.MULTILINE):
        pytest.importorskip(package)
    if "ResNet3d" in body:
        pytest.importorskip("mmaction")
    names = {}
    exec(body, names)
    if isinstance(names.get("model"), dict):
        MODELS.build(Config(dict(model=names["model"])).model.backbone)


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_names_what_is_there(words):
    """That it runs is asked by tests/documented."""
    for word in words:
        if word.startswith(("tools/", "configs/")):
            assert list(ROOT.glob(word)), word


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_its_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_paths_in_the_map_of_the_code_exist():
    for name in ("docs/architecture.md", "CONTRIBUTING.md"):
        for path in re.findall(r"`([\w/]+(?:\.py|/))`", (ROOT / name).read_text()):
            if path != "nlse_mm/plugins/my_block.py":
                there = any((ROOT / top / path).exists() for top in PLACES)
                assert there, f"{name}: {path}"


def test_the_drawing_names_every_position_and_no_other():
    drawn = (ROOT / "docs" / "images" / "placement.svg").read_text()
    assert set(re.findall(r">(\w+_\w+)</text>", drawn)) == set(POSITIONS)
