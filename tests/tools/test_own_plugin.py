"""A block of one's own takes one file and one import: those of docs/own_plugin.md."""

import importlib
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import test_contract
from forms import PROMISES, Form, registered_plugins

from nlse_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
NAME = "SimilarityMean"


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """The document's two files; the first one can be imported, and isn't yet."""
    pytest.importorskip("mmdet")
    text = (ROOT / "docs" / "own_plugin.md").read_text()
    module, config = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_plugins.py").write_text(module)
    config = config.replace("'configs/", f"'{ROOT}/configs/")
    (tmp_path / "my_config.py").write_text(config)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_plugins", None)
    MODELS.module_dict.pop(NAME, None)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(256, size=(96, 128, 3)))
    return path


def mix(block, x, rows):
    return x + block.value((x.flatten(2) @ rows[:, 0].mT).view_as(x))


def lacks_what_it_needs(test):
    return any(m.name == "skipif" and m.args[0] for m in test.pytestmark)


def test_it_passes_the_contract(walk):
    cls = importlib.import_module("my_plugins").SimilarityMean
    assert cls in registered_plugins()
    form = Form(cls, mix=mix)
    asked = [ask for ask, applies in PROMISES.items() if applies(form)]
    assert test_contract.test_attention_is_what_the_output_is_made_of in asked
    for ask in asked:
        if not lacks_what_it_needs(ask):
            ask(form)
    test_contract.check_two_processes([form])


def test_it_shows_in_the_figure_of_attention_maps(walk, image, launch, capsys):
    config = walk / "my_config.py"
    launch("analysis/show_attention.py", image, config, "--at", "40,30")
    assert "backbone.layer3.0.similarity_mean" in capsys.readouterr().out
    assert cv2.imread("attention.png").std() > 5


def test_it_has_a_row_in_the_table_of_costs(walk, launch, capsys):
    options = ["--shape", 64, 96, "--markdown"]
    launch("analysis/complexity.py", walk / "my_config.py", *options)
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    (row,) = (row for row in rows if NAME in row[1])
    assert row[1].split() == ["backbone", NAME, "after_block", "res4[-2]"]
    # 128 channels, 4 x 6 positions: a convolution and two products.
    parameters = 128 * 128 + 128
    macs = 24 * 128 * 128 + 2 * 24 * 24 * 128
    assert row[5].strip() == f"{parameters / 1e6:+.2f}" == "+0.02"
    assert row[6].strip() == f"{macs / 1e9:+.2f}"


def test_it_can_be_added_to_every_shipped_config(walk, launch, capsys):
    importlib.import_module("my_plugins")
    with pytest.raises(SystemExit) as ended:
        launch(
            "analysis/check_configs.py",
            "mmdet/yolox/yolox_nano",
            "--plugin",
            f"nlse_mm.{NAME}",
        )
    assert ended.value.code == 0
    assert "1 of 1 configs" in " ".join(capsys.readouterr().out.split())
