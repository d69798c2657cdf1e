"""MMAction2 without the folder that its release lacks, with it, and not at all."""

import importlib.util

import pytest

from nlse_mm.environment.stand_in import StandIns

SAID = "nlse_mm stands in for mmaction.models.localizers.drn.drn, which MMAction2's"
IMPORTS = "from .localizers.drn.drn import DRN"
AS_ITS_TOOLS = """
from mmengine.config import Config
Config.fromfile('config.py')
import mmaction.models
print('done', mmaction.models.DRN.__module__)
"""


@pytest.fixture
def release(site):
    """A package of MMAction2's name that imports what it lacks."""
    models = site / "mmaction" / "models"
    (models / "localizers").mkdir(parents=True)
    (models.parent / "utils").mkdir()
    for folder in (models.parent, models.parent / "utils", models / "localizers"):
        (folder / "__init__.py").touch()
    (models / "__init__.py").write_text(IMPORTS)
    return models


def test_a_release_can_be_imported_where_a_config_imports_our_registry(
    release, run, tmp_path
):
    config = "custom_imports = dict(imports=['nlse_mm.registry'])\n"
    (tmp_path / "config.py").write_text(config)
    done = run("-c", AS_ITS_TOOLS)
    said = done.stdout + done.stderr
    assert "done nlse_mm.environment.stand_in" in done.stdout, said
    assert said.count(SAID) == 1
    # The other processes of a training say nothing.
    done = run("-c", AS_ITS_TOOLS, LOCAL_RANK="1")
    assert SAID not in done.stdout + done.stderr


def test_what_is_there_is_not_stood_in_for(release, run):
    folder = release / "localizers" / "drn"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "drn.py").write_text("class DRN: pass")
    done = run("-c", f"import nlse_mm.registry{AS_ITS_TOOLS}")
    assert "done mmaction.models.localizers.drn.drn" in done.stdout, done.stderr
    assert SAID not in done.stdout + done.stderr


def test_the_page_says_what_is_stood_in_for(release, run):
    done = run("-m", "nlse_mm")
    (line,) = (x for x in done.stdout.splitlines() if x.split()[1:2] == ["mmaction"])
    assert line.split()[0] == "ok"
    assert SAID in line


def test_the_page_finds_what_the_rest_of_it_needs_and_is_missing(release, run):
    (release.parent / "utils" / "__init__.py").write_text("import no_such_package")
    done = run("-m", "nlse_mm")
    (line,) = (x for x in done.stdout.splitlines() if x.split()[1:2] == ["mmaction"])
    assert line.split()[0] == "broken"
    assert "mmaction.utils can't be imported" in line
    assert "No module named 'no_such_package'" in line


def test_the_stand_in_refuses_to_be_built(release, run):
    code = "import nlse_mm.registry, mmaction.models as m\nm.DRN(1)"
    done = run("-c", code)
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("ImportError: DRN is of mmaction.models.localizers.drn.drn, which")
    )


@pytest.mark.parametrize(
    "name", ["mmaction", "mmaction.models", "mmaction.models.drn", "mmdet.drn", "."]
)
def test_no_other_name_is_found(name):
    assert StandIns().find_spec(name) is None


def test_mmaction_that_is_not_installed_ends_in_a_sentence(run):
    if importlib.util.find_spec("mmaction"):
        pytest.skip("mmaction is installed")
    done = run(
        "-c",
        "from mmengine.registry import MODELS\n"
        "from nlse_mm.training.user_error import user_error\n"
        "try:\n    MODELS.build(dict(type='nlse_mm.ResNet3d'))\n"
        "except Exception as error:\n    print(user_error(error))",
    )
    said = done.stdout.splitlines()[-1].replace("onedl-", "")
    assert said == (
        "mmaction.ResNet3d is not found: mmaction isn't installed: pip install "
        "--no-deps mmaction2 einops importlib_metadata zipp"
    )
