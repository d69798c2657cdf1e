"""The drawing of docs/placement.md shows the positions that there are."""

import importlib.util
import sys
from pathlib import Path

import pytest

from nlse_mm.backbones.plugin_line import POSITIONS

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "placement.png"


@pytest.fixture
def tool():
    path = ROOT / "tools" / "analysis" / "draw_placement.py"
    spec = importlib.util.spec_from_file_location("draw_placement", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_has_every_position_and_no_other(tool):
    assert set(tool.PLACES) == set(POSITIONS)


def test_places_are_in_the_order_in_which_they_run(tool):
    on_the_branch = [n for n in POSITIONS if n != "on_identity"]
    across = [tool.PLACES[name][0] for name in on_the_branch]
    assert across == sorted(across)


def test_its_picture_is_the_one_of_the_document(tool, tmp_path, monkeypatch):
    copy = tmp_path / "deep" / "placement.png"
    monkeypatch.setattr(sys, "argv", ["draw_placement.py", str(copy)])
    tool.main()
    assert copy.read_bytes().startswith(b"\x89PNG")
    assert PICTURE.stat().st_size < 100_000
    assert f"images/{PICTURE.name}" in (ROOT / "docs" / "placement.md").read_text()
