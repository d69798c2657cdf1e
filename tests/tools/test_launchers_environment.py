"""What the launchers refuse for the environment's sake, before the first step."""

from pathlib import Path

import pytest
from mmengine.runner import Runner

from nlse_mm.environment import operators
from nlse_mm.toolbox import installed

TOY = Path(__file__).parent / "launcher_toy"
CONFIG = TOY / "config.py"
WORK = ("--work-dir", "work")


@pytest.fixture(autouse=True)
def _on_a_gpu_that_operators_were_not_compiled_for(monkeypatch):
    """The toy's layers stand in for operators, and its device for a GPU."""
    pytest.importorskip("mmcv")

    def check(model, training):
        assert next(model.parameters()).numel() > 0  # what the Runner has built
        raise operators.MissingPackageError(f"training={training}: for the CPU only")

    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setattr(operators, "check_operators", check)


def test_a_training_is_refused_before_it_starts(sentence_of, monkeypatch):
    monkeypatch.setattr(Runner, "train", lambda self: pytest.fail("it trains"))
    said = sentence_of("train.py", CONFIG, *WORK)
    assert said == "error: training=True: for the CPU only"


def test_a_test_is_refused_before_it_starts(sentence_of, monkeypatch):
    monkeypatch.setattr(Runner, "test", lambda self: pytest.fail("it tests"))
    Path("a.pth").touch()
    said = sentence_of("test.py", CONFIG, "a.pth", *WORK)
    assert said == "error: training=False: for the CPU only"


@pytest.mark.parametrize(
    ("scope", "command"),
    [("mmpretrain", ": pip install mmpretrain torchvision"), ("my_toolbox", "")],
)
def test_a_toolbox_that_is_not_installed_comes_with_its_command(
    scope, command, sentence_of, monkeypatch
):
    monkeypatch.setattr("nlse_mm.training.config.installed", lambda name: False)
    said = sentence_of("train.py", CONFIG, "--cfg-options", f"default_scope={scope}")
    said = said.replace("onedl-", "")
    assert said.endswith(
        f"has default_scope='{scope}', and {scope} is not installed{command}"
    )


def test_a_base_that_needs_pkg_resources_comes_with_its_command(
    sentence_of, monkeypatch
):
    def is_installed(package):
        raise ModuleNotFoundError("No module named 'pkg_resources'")

    monkeypatch.setattr("mmengine.config.config.is_installed", is_installed)
    Path("leaf.py").write_text("_base_ = 'mmdet::some/config.py'")
    said = sentence_of("train.py", "leaf.py")
    assert said.startswith("error: the config leaf.py can't be read: ")
    assert said.endswith(
        "(setuptools 82 and newer lack it: pip install 'setuptools<81')"
    )


def test_a_base_of_a_toolbox_that_is_not_installed_names_it(sentence_of, monkeypatch):
    monkeypatch.setattr("mmengine.config.config.is_installed", lambda package: False)
    Path("leaf.py").write_text("_base_ = 'mmaction::recognition/c2d.py'")
    said = sentence_of("train.py", "leaf.py")
    assert said.startswith("error: the config leaf.py can't be read: ")
    assert "mmaction2 is not installed" in said
    assert ": pip install --no-deps " in said
    assert said.endswith("mmaction2 einops importlib_metadata zipp")


def test_a_type_of_a_toolbox_that_is_not_installed_names_it(sentence_of, monkeypatch):
    pytest.importorskip("mmdet")
    if installed("mmpretrain"):
        pytest.skip("mmpretrain is installed")
    options = ("model.type=mmpretrain.ImageClassifier", "default_scope=mmdet")
    said = sentence_of("train.py", CONFIG, *WORK, "--cfg-options", *options)
    assert said.startswith(
        "error: mmpretrain.ImageClassifier is not to be had: mmpretrain is not "
        "installed: pip install "
    )
