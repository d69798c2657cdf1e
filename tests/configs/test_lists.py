"""README and model index list the configs that exist, and no others."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from mmengine.infer import BaseInferencer

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
LEAVES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in CONFIGS.rglob("*.py")
    if "_base_" not in p.parts
)


@pytest.fixture(scope="module")
def metafile():
    return yaml.safe_load((CONFIGS / "metafile.yml").read_text())


def test_the_readme_has_a_row_for_each_config():
    rows = re.findall(
        r"^\| \[(\S+)\]\((\S+)\.py\) \|.* (\S.*) \|$",
        (CONFIGS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert all(shown == path for shown, path, _ in rows)
    assert sorted(f"configs/{path}.py" for _, path, _ in rows) == LEAVES


def test_the_readme_explains_each_word_of_a_name():
    """Those of the ResNet configs; test_names.py compares them with the content."""
    text = (CONFIGS / "README.md").read_text()
    grammar = text.split("## Names")[1].split("## ")[0]
    known = set(re.findall(r"`([\w-]+)`", grammar)) | {"r4", "r8"}  # r2 to r32
    known |= {"res4"}  # res2 to res5
    for path in CONFIGS.glob("*.py"):
        name = path.stem
        algorithm = next(a for a in known if name.startswith(f"{a}_"))
        assert set(name.removeprefix(f"{algorithm}_").split("_")) <= known, name


def test_the_model_index_has_an_entry_for_each_config(metafile):
    assert sorted(model["Config"] for model in metafile["Models"]) == LEAVES
    names = [model["Name"] for model in metafile["Models"]]
    assert len(set(names)) == len(names)


def test_every_model_belongs_to_a_collection(metafile):
    collections = {c["Name"] for c in metafile["Collections"]}
    assert {m["In Collection"] for m in metafile["Models"]} == collections
    for collection in metafile["Collections"]:
        assert (ROOT / collection["README"]).exists()


def test_it_holds_no_results_of_trainings_that_nobody_ran(metafile):
    assert not any(
        {"Results", "Weights"} & model.keys() for model in metafile["Models"]
    )


def test_mmengine_reads_it_where_mim_puts_it(tmp_path):
    """A package's .mim folder has the index at its top, beside configs/."""
    (tmp_path / "configs").symlink_to(CONFIGS)
    shutil.copy(CONFIGS / "model-index.yml", tmp_path)
    models = list(BaseInferencer._get_models_from_metafile(str(tmp_path)))
    assert len(models) == len(LEAVES)
    assert all((tmp_path / model["Config"]).is_file() for model in models)
