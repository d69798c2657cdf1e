"""Two distributions of one OpenMMLab package, and what pip is told to do about them."""

import sys
from pathlib import Path

import pytest

from nlse_mm.environment import packages
from nlse_mm.environment.openmmlab import openmmlab
from nlse_mm.errors import MissingPackageError

TOOLS = Path(__file__).parents[2] / "tools"

HERE = packages.name_and_version(packages.MMCV)  # in OneDL's stack a third one

LOOK_UP = """
from mmengine.registry import MODELS
try:
    MODELS.build(dict(type='nlse_mm.NonLocal2d', in_channels=8))
except ImportError as error:
    print(error)
"""


def test_two_sets_stop_launchers_and_stock_tools_with_what_to_uninstall(
    run, distribution
):
    distribution("mmengine", "0.10.7")
    distribution("onedl-mmengine", "0.10.12")
    distribution("mmcv-lite", "2.1.0")
    distribution("mmcv", "2.1.0")
    theirs = ["onedl-mmcv"] if HERE == "onedl-mmcv 2.3.6" else []
    mmcvs = ["mmcv 2.1.0", "mmcv-lite 2.1.0", *(f"{name} 2.3.6" for name in theirs)]
    remove = ["mmengine", "onedl-mmengine", "mmcv", "mmcv-lite", *theirs]
    sentence = (
        "two distributions of one package overwrite each other's files: mmengine "
        f"0.10.7 and onedl-mmengine 0.10.12, {' and '.join(mmcvs)}; run pip uninstall "
        f"-y {' '.join(remove)}, then install one of each again, such as "
        "mmengine==0.10.7"
    )
    launcher = run(TOOLS / "test.py", "config.py", __file__)
    assert launcher.stderr == f"error: {sentence}\n"
    assert launcher.returncode == 2
    assert run("-c", LOOK_UP).stdout == f"{sentence}\n"
    page = run("-m", "nlse_mm")
    assert page.returncode == 1
    assert f"broken   distributions  {sentence}\n" in page.stdout


@pytest.fixture
def only(site, monkeypatch):
    """Nothing is installed but what a test adds."""
    monkeypatch.setattr("sys.path", [str(site)])


@pytest.mark.parametrize(
    "pair",
    [
        ("mmcv", "mmcv-full"),
        ("mmdet", "onedl-mmdetection"),
        ("mmsegmentation", "onedl-mmsegmentation"),
        ("mmpretrain", "onedl-mmpretrain"),
    ],
)
def test_every_pair_is_told(pair, only, distribution):
    for name in pair:
        distribution(name, "3.0.0")
    with pytest.raises(MissingPackageError, match=f"{pair[0]} 3.* and {pair[1]} 3"):
        packages.check_one_set()


def test_one_set_passes_and_so_does_a_fork_beside_another_toolbox(only, distribution):
    for name in ("onedl-mmengine", "onedl-mmcv", "mmpretrain", "onedl-mmdetection"):
        distribution(name, "1.2.0")
    packages.check_one_set()


def test_what_an_uninstallation_left_behind_is_no_second_one(only, distribution, site):
    distribution("mmcv", "2.1.0")
    (site / "mmcv_full-1.7.2.dist-info").mkdir()
    packages.check_one_set()


def test_one_that_hides_another_of_the_base_environment_passes(
    only, distribution, tmp_path, monkeypatch
):
    distribution("onedl-mmengine", "0.10.12")
    below = tmp_path / "below"
    (below / "mmengine-0.10.7.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: mmengine\nVersion: 0.10.7\n"
    (below / "mmengine-0.10.7.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.setattr("sys.path", [*sys.path, str(below)])
    assert len(packages.distributions(packages.MMENGINE)) == 2
    packages.check_one_set()


@pytest.mark.parametrize(
    ("engine", "wanted"),
    [("mmengine", "mmsegmentation"), ("onedl-mmengine", "onedl-mmsegmentation")],
)
def test_a_missing_toolbox_comes_with_the_command_of_its_set(
    engine, wanted, only, distribution
):
    distribution(engine, "0.10.7")
    assert packages.how_to_install("mmseg") == f": pip install {wanted}"
    assert packages.how_to_install("my_package") == ""


def test_no_toolbox_at_all_is_broken_and_one_is_enough(monkeypatch):
    pytest.importorskip("mmdet")
    module = "nlse_mm.environment.openmmlab.find_spec"
    for hidden, mark in (
        ({"mmseg", "mmaction", "mmpretrain"}, None),
        ({"mmdet", "mmseg", "mmaction", "mmpretrain"}, "broken"),
    ):
        gone = hidden
        monkeypatch.setattr(module, lambda name, gone=gone: name not in gone or None)
        monkeypatch.setattr(
            "nlse_mm.environment.openmmlab.name_and_version", lambda package: None
        )
        found = {finding.name: finding.mark for finding in openmmlab()}
        assert found.get("toolboxes") == mark
        assert {found[name] for name in hidden} == {"missing"}


@pytest.mark.parametrize(
    ("version", "is_old"), [("2.0.1", True), ("2.1.0rc0", False), ("2.10.0", False)]
)
def test_a_package_below_the_least_version_is_broken(
    version, is_old, only, distribution
):
    distribution("mmcv", version)
    why = packages.too_old(packages.MMCV)
    assert why == ("nlse_mm needs MMCV 2.1.0 or newer" if is_old else None)


def test_the_page_marks_a_package_that_is_too_old(monkeypatch):
    why = "nlse_mm needs MMEngine 9 or newer"
    monkeypatch.setattr("nlse_mm.environment.openmmlab.too_old", lambda package: why)
    found = {finding.name: finding for finding in openmmlab()}["mmengine"]
    assert found.mark == "broken"
    assert found.text.endswith(f": {why}")
