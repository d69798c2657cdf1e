"""A built wheel works outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from mmengine.infer import BaseInferencer

import nlse_mm

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, built from a copy to leave nothing in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"

    def leave_out(parent, names):
        left_out = {n for n in names if n.startswith(".") or n.endswith(".egg-info")}
        at_the_top = {"data", "work_dirs", "build"} if Path(parent) == ROOT else set()
        return left_out | at_the_top

    shutil.copytree(ROOT, source, ignore=leave_out)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_the_configs_the_tools_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for top in ("nlse_mm", "configs", "tools"):
        prefix = "" if top == "nlse_mm" else "nlse_mm/"
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".sh", ".md", ".typed"):
                assert prefix + path.relative_to(ROOT).as_posix() in names
    assert any(name.endswith("LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "data/")) for name in names)


def test_its_index_has_every_config_with_what_mim_and_mmengine_read(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    mim = tmp_path / "nlse_mm" / ".mim"
    models = list(BaseInferencer._get_models_from_metafile(str(mim)))
    leaves = {p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.py")}
    leaves = {path for path in leaves if "/_base_/" not in path}
    assert {model["Config"] for model in models} == leaves
    assert all((mim / path).is_file() for path in leaves)
    assert len({model["Name"] for model in models}) == len(models) == len(leaves)
    (metafile,) = yaml.safe_load((mim / "model-index.yml").read_text())["Import"]
    collections = yaml.safe_load((mim / metafile).read_text())["Collections"]
    names = {collection["Name"] for collection in collections}
    assert {model["In Collection"] for model in models} == names
    assert all((mim / collection["README"]).is_file() for collection in collections)
    told = {m["Name"]: (m["In Collection"], *m["Metadata"].values()) for m in models}
    assert told["mask_rcnn_r50_se_nl"] == ("Non-local", "COCO")
    assert told["mask_rcnn_senet154"] == ("SENet", "COCO")
    assert told["mask_rcnn_r101_gc"] == ("GCNet", "COCO")
    assert told["mask_rcnn_r50_sa_res5"] == ("Self-attention", "COCO")
    assert told["fcn_r50_coco-panoptic"] == ("Baselines", "COCO panoptic")
    assert told["nlhead_r50_ade20k"] == ("Non-local", "ADE20K")
    assert told["tiny_se-resnet18_digits"] == ("SENet", "scikit-learn's digits")
    assert told["c2d_r50_kinetics400"] == ("Baselines", "Kinetics-400")
    assert told["tiny_far_cue_faster_rcnn_r18"] == ("Baselines", "drawn squares")
    # Nobody has run the trainings that results would be of.
    assert not any({"Results", "Weights"} & model.keys() for model in models)


def test_it_requires_no_openmmlab_package(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [n for n in archive.namelist() if n.endswith("METADATA")]
    required = [
        line
        for line in archive.read(metadata).decode().splitlines()
        if line.startswith("Requires-Dist") and "extra ==" not in line
    ]
    assert required == ["Requires-Dist: torch>=2.1"]


def test_a_config_of_the_installed_wheel_builds_its_model(wheel, tmp_path):
    pytest.importorskip("mmdet")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = f"""
import nlse_mm
assert nlse_mm.__file__.startswith({str(tmp_path)!r}), nlse_mm.__file__
from pathlib import Path
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
init_default_scope('mmdet')
path = Path(nlse_mm.__file__).parent / 'configs' / 'mask_rcnn_r50_nl.py'
config = Config.fromfile(path)
config.model.backbone.init_cfg = None
model = MODELS.build(config.model)
print(model.backbone.layer3[4].nonlocal_block.inter_channels)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | dict(PYTHONPATH=str(tmp_path / "site")),
    )
    assert done.stdout.splitlines()[-1:] == ["512"], done.stderr


def test_pre_commit_runs_the_pinned_ruff():
    hooks = re.findall(r"ruff==[\d.]+", (ROOT / ".pre-commit-config.yaml").read_text())
    pinned = re.findall(r"^ruff==[\d.]+", (ROOT / "requirements.txt").read_text(), re.M)
    assert hooks
    assert set(hooks) == set(pinned)


def test_the_citation_and_the_changelog_have_the_version():
    assert f"\nversion: {nlse_mm.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {nlse_mm.__version__}, " in (ROOT / "CHANGELOG.md").read_text()
