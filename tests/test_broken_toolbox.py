"""A toolbox that is there and can't be imported is told by the import's own error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlse_mm.environment.import_errors import explain
from nlse_mm.placement.plugin import check_plugin
from nlse_mm.toolbox import backbone_class, installed, why_broken

REGISTRY = """
from mmengine.registry import MODELS as ROOT, Registry
MODELS = Registry('model', parent=ROOT, scope='{name}', locations=['{name}.models'])
"""
# What is wrong: the file that holds the line, the line, what is said.
BROKEN = {
    "dependency": (
        "__init__.py",
        "import no_such_dependency",
        "can't be imported: ModuleNotFoundError: No module named 'no_such_dependency'",
    ),
    "version": (
        "__init__.py",
        "assert False, 'mmcv==9 is incompatible'",
        "can't be imported: AssertionError: mmcv==9 is incompatible",
    ),
    "registrys": (
        "registry.py",
        "from json import no_such_name",
        "can't be imported: ImportError: cannot import name 'no_such_name'",
    ),
    "attribute": (
        "__init__.py",
        "import json; json.no_such_name",
        "can't be imported: AttributeError: module 'json' has no attribute",
    ),
    "models": (
        "models.py",
        "import no_such_dependency",
        "can't be imported: ModuleNotFoundError: No module named 'no_such_dependency'",
    ),
    "syntax": (
        "models.py",
        "def broken(:",
        "can't be imported: SyntaxError: invalid syntax",
    ),
    "library": (
        "models.py",
        "import ctypes; ctypes.CDLL('libnone.so.9')",
        "can't be imported: OSError: libnone.so.9: cannot open shared object file",
    ),
}


@pytest.fixture(params=BROKEN)
def broken(request, tmp_path, monkeypatch):
    """The scope of a toolbox that can't be imported, and what is to be said."""
    name = f"broken_{request.param}"
    (tmp_path / name).mkdir()
    files = {"__init__.py": "", "registry.py": REGISTRY.format(name=name)}
    where, line, said = BROKEN[request.param]
    for file, text in (files | {where: line}).items():
        (tmp_path / name / file).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name, said
    why_broken.cache_clear()


def test_a_base_is_not_said_to_be_missing(broken, in_mmdet):
    scope, said = broken
    for _ in range(2):  # a second import may raise something else
        with pytest.raises(ImportError) as error:
            backbone_class(f"{scope}.ConvNeXt")
        assert said in str(error.value)
        assert str(error.value).startswith(f"{scope}.ConvNeXt is not to be had: ")
        assert "has no model" not in str(error.value)


def test_a_plugin_is_not_said_to_be_unregistered(broken, in_mmdet):
    scope, said = broken
    with pytest.raises(ValueError, match=r"^plugins\[0\]: type=") as error:
        check_plugin(dict(type=f"{scope}.SELayer"), "plugins[0]")
    assert said in str(error.value)
    assert "not a registered plugin" not in str(error.value)


# What MMPretrain's models import, the line that fails, and the end of the sentence.
IMPORTED = {
    "transformers": (
        "class Model(None): pass",
        "TypeError: NoneType takes no arguments (MMPretrain, where it finds "
        "transformers, wants one before 4.52: pip install 'transformers<4.52', or "
        "uninstall whichever of the two isn't needed)",
    ),
    "torchvision": (
        "raise ModuleNotFoundError(\"No module named 'torchvision'\")",
        "ModuleNotFoundError: No module named 'torchvision' (torchvision is missing, "
        "which MMPretrain, for one, imports and doesn't ask for: pip install "
        "torchvision, in the release for the installed PyTorch)",
    ),
}


@pytest.mark.parametrize("package", IMPORTED)
def test_what_mmpretrain_lacks_ends_a_launcher_in_one_sentence(package, tmp_path):
    """Its own words are in a package of its name: the real one may be whole."""
    line, sentence = IMPORTED[package]
    folder = tmp_path / "mmpretrain"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "registry.py").write_text(REGISTRY.format(name="mmpretrain"))
    (folder / "models.py").write_text(line)
    config = tmp_path / "config.py"
    config.write_text("default_scope = 'mmpretrain'\nmodel = dict(type='A')\n")
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", root / "tools" / "train.py", config],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        f"error: {config} has default_scope='mmpretrain', and the MODELS of mmpretrain "
        f"can't be imported: {sentence}\n"
    )


def error_of(line, module):
    try:
        exec(line, {"__name__": module})
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "line", ["class Model(None): pass", "from transformers import no_such_name"]
)
def test_only_mmpretrains_errors_blame_transformers(line, tmp_path, monkeypatch):
    (tmp_path / "transformers.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    said = explain(error_of(line, "mmpretrain.models.multimodal"))
    assert "pip install 'transformers<4.52'" in said
    assert explain(error_of(line, "my_models")) is None
    assert explain(TypeError("NoneType takes no arguments")) is None


def test_names_near_a_missing_one_are_of_that_toolbox(in_mmdet):
    with pytest.raises(KeyError) as error:
        backbone_class("torch.nn.Conv2")
    assert error.value.args == ("torch has no model 'nn.Conv2'",)


@pytest.mark.parametrize("name", [".", ".x", "..x"])
def test_a_base_without_a_scope_before_its_dot_is_refused(in_mmdet, name):
    with pytest.raises(KeyError, match="has no scope before the dot"):
        backbone_class(name)


@pytest.mark.parametrize("name", ["", ".", "no_such", "json.no_such", 5, None])
def test_what_is_no_package_is_not_installed(name):
    assert not installed(name)


def test_a_package_without_a_registry_is_not_broken():
    assert why_broken("json", "MODELS") is None
    assert why_broken("mmengine", "MODELS", "DATASETS") is None


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Broken(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == '{broken}.models':
            raise ImportError('no ftfy here')
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Broken
from mmengine.registry import MODELS, DefaultScope
DefaultScope.get_instance('test', scope_name='{used}')
MODELS.build(dict(type='nlse_mm.ResNet', depth=18))
MODELS.build(dict(type='nlse_mm.NonLocal2d', in_channels=8))
for _ in range(2):
    try:
        MODELS.build(dict(type='nlse_mm.{name}'))
    except ImportError as error:
        print(error)
"""


def test_one_broken_toolbox_leaves_the_other_alone():
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    code = WITHOUT.format(broken="mmseg", used="mmdet", name="NLHead")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    said = (
        "nlse_mm.NLHead is not registered, and nlse_mm.segmentation can't be imported: "
        "ImportError: no ftfy here\n"
    )
    # OneDL's packages print lines of their own, where they are imported.
    assert done.stdout.endswith(2 * said), done.stderr


def test_a_users_own_class_of_a_name_that_the_toolbox_lacks_is_found(in_mmdet):
    from mmdet.registry import MODELS

    own = type("ResNetV1c", (), {})
    MODELS.register_module(name="ResNetV1c", module=own)
    try:
        assert backbone_class("ResNetV1c") is own
    finally:
        MODELS.module_dict.pop("ResNetV1c")
    with pytest.raises(KeyError, match=r"nlse_mm\.ResNet with deep_stem=True"):
        backbone_class("ResNetV1c")


def test_a_broken_toolbox_is_not_blamed_for_what_its_folder_never_registers():
    from nlse_mm import registry, toolbox

    folders = {t.folder: t for t in toolbox.TOOLBOXES}
    for name in ("MODELS", "DATASETS", "TRANSFORMS", "METRICS", "VISUALIZERS", "HOOKS"):
        child = getattr(registry, name)
        child.import_from_location()
        there = {cls.__module__ for cls in child.module_dict.values()}
        for location in set(child._locations) & folders.keys():
            assert any(module.startswith(location) for module in there), name
            assert name in folders[location].adds_to
