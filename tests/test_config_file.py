"""Configs are read alike whichever distribution of a toolbox is installed."""

import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from nlse_mm.config_file import read_config
from nlse_mm.environment import packages


def test_a_base_is_found_in_a_distribution_that_mmengine_does_not_know(
    monkeypatch, tmp_path
):
    pytest.importorskip("mmseg")
    monkeypatch.setitem(MODULE2PACKAGE, "mmseg", "some-other-fork")
    leaf = tmp_path / "leaf.py"
    leaf.write_text("_base_ = 'mmseg::_base_/default_runtime.py'")
    with pytest.raises(ModuleNotFoundError, match="some-other-fork is not installed"):
        Config.fromfile(leaf)
    assert read_config(leaf).default_scope == "mmseg"
    assert MODULE2PACKAGE["mmseg"] == "some-other-fork"


@pytest.mark.parametrize(
    ("mmengine", "named"), [("mmengine", "mmocr"), ("onedl-mmengine", "onedl-mmocr")]
)
def test_a_missing_toolbox_goes_by_its_name_in_the_installed_set(
    monkeypatch, tmp_path, mmengine, named
):
    missing = packages.Package(
        "mmocr", "MMOCR", ("mmocr", "onedl-mmocr"), "1.0", "text"
    )
    monkeypatch.setattr(packages, "PACKAGES", (missing,))
    monkeypatch.setattr(packages, "name_and_version", lambda package: f"{mmengine} 1.0")
    leaf = tmp_path / "leaf.py"
    leaf.write_text("_base_ = 'mmocr::a/b.py'")
    with pytest.raises(ModuleNotFoundError, match=f"^{named} is not installed"):
        read_config(leaf)
