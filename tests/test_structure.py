"""Arrows go one way, and either toolbox may be missing."""

import ast
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nlse_mm"
FILES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(
    path
    for path in (ROOT / "tools").rglob("*.*")
    if path.is_file() and path.read_bytes()[:2] == b"#!"
)
# The files at the top, and what else of the package each may import.
TOP = {
    "__init__": {"environment", "placement"},
    "__main__": {"environment"},
    "errors": set(),
    "torch_version": {"errors"},
    "toolbox": {"errors", "environment"},
    "config_file": {"environment", "toolbox"},
    "registry": {"errors", "toolbox", "environment", "checkpoint"},
}
# Any folder may import these.
BELOW_ALL = {
    "errors",
    "environment",
    "torch_version",
    "toolbox",
    "config_file",
    "registry",
    "arguments",
}
# Those that the registry's own import needs, and which so can't import it.
BELOW_REGISTRY = {"arguments", "checkpoint"}
# Below the toolboxes' table, for whose imports it has the words.
BELOW_TOOLBOX = {"environment"}
# folder: the others of the package that it may import
ALLOWED = {
    "arguments": set(),
    "environment": {"ops"},
    "ops": set(),
    "plugins": {"ops"},
    "placement": {"ops"},
    "backbones": {"placement", "checkpoint"},
    "segmentation": {"plugins"},
    "keypoints": {"placement", "validation"},
    "checkpoint": set(),
    "validation": set(),
    "training": {"checkpoint", "validation"},
    "analysis": {"ops"},
}
TOOLBOX_IN = {"mmdet": {"keypoints"}, "mmseg": {"segmentation"}}


def imports(path):
    """Absolute names of the modules that a file imports, at any depth."""
    package = ["nlse_mm", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    first, *deeper = path.relative_to(PACKAGE).with_suffix("").parts
    allowed = {first, *BELOW_ALL, *ALLOWED[first]} if deeper else TOP[first]
    if first == "ops":
        allowed = {"ops", "torch_version"}
    if first in BELOW_REGISTRY:
        allowed -= {"registry"}
    if first in BELOW_TOOLBOX:
        allowed = {first, "__version__", "errors", "torch_version", *ALLOWED[first]}
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in TOOLBOX_IN:
            assert first in TOOLBOX_IN[parts[0]], f"{path} imports {name}"
        if parts[0] == "nlse_mm":
            assert parts[1] in allowed, f"{path} imports {name}"


def test_the_folders_that_may_be_imported_form_no_circle():
    arrows = {**TOP, **{a: b | BELOW_ALL - {a} for a, b in ALLOWED.items()}}
    for name in BELOW_REGISTRY:
        arrows[name] = arrows[name] - {"registry"}
    for below in ("errors", "torch_version", "toolbox", "arguments"):
        arrows[below] = arrows[below] & {"errors", "environment", "toolbox"} - {below}
    arrows |= {"ops": {"torch_version"}}
    arrows |= {"environment": {"errors", "torch_version", "ops"}}
    TopologicalSorter(arrows).prepare()  # raises CycleError


def test_only_the_table_and_the_folders_that_extend_one_name_a_toolbox():
    installer = ROOT / "tools" / "install.sh"
    extending = {name for names in TOOLBOX_IN.values() for name in names}
    for path in [*FILES, *(ROOT / "tools").rglob("*.*")]:
        parts = path.relative_to(ROOT).parts
        if path.suffix not in (".py", ".sh") or path == installer:
            continue
        if parts[0] == "nlse_mm" and parts[1] in {"toolbox.py", *extending}:
            continue
        if path == PACKAGE / "environment" / "packages.py":  # pip's names of all
            continue
        named = re.search(r"\b(mmdet|mmseg|mmaction)\b", path.read_text())
        assert not named, f"{path} names {named[0]}; nlse_mm/toolbox.py has a table"


def test_the_ops_import_nothing_but_torch_and_python():
    for path in (PACKAGE / "ops").glob("*.py"):
        for name in imports(path):
            root = name.split(".")[0]
            assert root in {"torch", "nlse_mm"} | sys.stdlib_module_names, name


@pytest.mark.parametrize(("hidden", "used"), [("mmdet", "mmseg"), ("mmseg", "mmdet")])
def test_everything_works_without_the_other_toolbox(hidden, used):
    pytest.importorskip(used)
    code = f"""
import sys
from importlib.machinery import PathFinder

class Hidden(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split('.')[0] == '{hidden}':
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hidden
import torch
from mmengine.registry import HOOKS, MODELS, DefaultScope
DefaultScope.get_instance('test', scope_name='{used}')
entry = dict(cfg=dict(type='nlse_mm.NonLocal2d'), position='after_block')
backbone = MODELS.build(dict(type='nlse_mm.ResNet', depth=18, plugins=[entry]))
assert HOOKS.get('nlse_mm.CheckpointHook').__module__.startswith('nlse_mm')
assert backbone(torch.rand(1, 3, 64, 64))[3].shape == (1, 512, 2, 2)
assert '{hidden}' not in sys.modules
try:
    import {hidden}
except ImportError:
    print('hidden')
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("hidden\n"), done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_a_script_can_be_typed(path):
    assert os.access(path, os.X_OK)
