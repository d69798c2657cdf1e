"""What ``check_environment`` finds, and the page that shows it."""

import io
import subprocess
import sys

import pytest
import torch
from rich.console import Console

import nlse_mm
from nlse_mm.environment import Environment, Finding, Way, check_environment
from nlse_mm.environment import attention as attention_ways
from nlse_mm.environment import parts as parts_file
from nlse_mm.environment import versions as versions_file
from nlse_mm.environment.page import plain_lines, print_page, summary
from nlse_mm.environment.parts import PARTS, parts
from nlse_mm.environment.versions import versions

BROKEN = Finding("nlse_mm", "broken", "plugins", "ImportError: [no] such")
FOUND = Environment(
    findings=(
        Finding("Python and PyTorch", "ok", "Python", "3.11"),
        Finding("nlse_mm", "missing", "keypoints", "needs MMDetection"),
        BROKEN,
    ),
    ways=(
        Way("res4", "cuda", "32 bit", "blocks of weights"),
        Way("res4", "cuda", "16 bit", "flash kernel"),
    ),
)


@pytest.fixture(scope="module")
def found():
    return check_environment()


def test_the_environment_of_the_tests_works(found):
    assert list(found.broken) == []
    names = [finding.name for finding in found.findings]
    assert {"nlse_mm", "PyTorch", "mmengine", "mmcv", "mmdet", *PARTS} <= {*names}
    assert len(names) == len(set(names))


def test_versions_are_those_of_the_imported_packages(found):
    texts = {finding.name: finding.text for finding in found.findings}
    assert texts["nlse_mm"].split(", ") == [nlse_mm.__version__, *nlse_mm.__path__]
    assert texts["PyTorch"].startswith(f"{torch.__version__}, built for ")
    assert texts["mmcv"].split()[-1] == sys.modules["mmcv"].__version__


def test_every_registered_name_is_on_the_page(found):
    from nlse_mm import registry

    texts = " ".join(finding.text for finding in found.findings).replace(",", "")
    for child in (registry.MODELS, registry.HOOKS, registry.METRICS):
        ours = (
            name
            for name, cls in child.module_dict.items()
            if cls.__module__.startswith("nlse_mm.")
        )
        assert set(ours) <= set(texts.split())


def test_a_part_that_cannot_be_imported_is_told_with_its_error(monkeypatch):
    def import_module(name):
        if name == "nlse_mm.analysis":
            raise ImportError("no such thing")
        return real(name)

    real = parts_file.import_module
    monkeypatch.setattr(parts_file, "import_module", import_module)
    marks = {part.name: part for part in parts()}
    assert marks["analysis"].mark == "broken"
    assert marks["analysis"].text == "ImportError: no such thing"
    assert marks["training"].mark == "ok"


def test_a_name_that_a_config_would_not_find_breaks_its_part(monkeypatch):
    from nlse_mm import registry

    def get(self, name):
        return int if name == "nlse_mm.SELayer" else real(self, name)

    real = type(registry.MODELS.parent).get
    monkeypatch.setattr(type(registry.MODELS.parent), "get", get)
    broken = [part for part in parts() if part.mark == "broken"]
    assert [(part.name, part.text) for part in broken] == [
        ("plugins", "LookupError: nlse_mm.SELayer isn't found by MMEngine")
    ]


def test_a_part_without_its_toolbox_is_missing(monkeypatch):
    monkeypatch.setattr(
        parts_file, "find_spec", lambda name: None if name == "mmdet" else True
    )
    marks = {part.name: part for part in parts()}
    assert marks["keypoints"].mark == "missing"
    assert marks["keypoints"].text == "needs MMDetection"
    assert marks["plugins"].mark == "ok"


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        *(("1.13.1", True), ("2.0.1+cu118", True), ("2.1.0", False)),
        *(("2.10.0", False), ("2.1.0a0+git1", False), ("3.0", False)),
    ],
)
def test_pytorch_below_2_1_is_too_old(version, is_old, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    found = {finding.name: finding for finding in versions()}["PyTorch"]
    assert (found.mark == "broken") == is_old
    if is_old:
        said = f"nlse_mm needs PyTorch 2.1 or newer, and {version} is installed"
        assert found.text == said


def raises(error):
    def call(*args, **kwargs):
        raise error

    return call


def test_a_pytorch_of_another_numpy_is_told(monkeypatch):
    error = RuntimeError("Numpy is not available")
    monkeypatch.setattr(torch.Tensor, "numpy", raises(error))
    found = {finding.name: finding for finding in versions()}["NumPy"]
    assert found.mark == "broken"
    assert "Numpy is not available (" in found.text
    assert "pip install 'numpy<2'" in found.text


def test_setuptools_without_pkg_resources_is_told(monkeypatch):
    error = ModuleNotFoundError("No module named 'pkg_resources'", name="pkg_resources")
    monkeypatch.setattr("mmengine.utils.is_installed", raises(error))
    found = {finding.name: finding for finding in versions()}["setuptools"]
    assert found.mark == "broken"
    assert "pip install 'setuptools<81'" in found.text


def test_opencv_without_the_libraries_of_a_desktop_is_told(monkeypatch):
    real = versions_file.import_module
    error = ImportError("libGL.so.1: cannot open shared object file")
    monkeypatch.setattr(
        versions_file,
        "import_module",
        lambda name: raises(error)() if name == "cv2" else real(name),
    )
    found = {finding.name: finding for finding in versions()}["OpenCV"]
    assert found.mark == "broken"
    assert "pip install opencv-python-headless" in found.text


def test_gpus_are_counted_by_name(monkeypatch):
    names = ["H100", "H100", "L4"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: names[i])
    found = {finding.name: finding for finding in versions()}["GPUs"]
    assert (found.mark, found.text) == ("ok", "2 x H100, 1 x L4")


def test_attention_has_a_way_for_each_shape_in_32_and_16_bits(found):
    assert len(found.ways) == 2 * len(attention_ways.SHAPES)
    if not torch.cuda.is_available():
        assert {way.way for way in found.ways} == {"blocks of weights"}
        assert {way.device for way in found.ways} == {"cpu"}


def test_plain_lines_begin_with_their_mark_and_are_not_cut():
    assert plain_lines(FOUND) == [
        "Python and PyTorch",
        "  ok       Python         3.11",
        "",
        "nlse_mm",
        "  missing  keypoints      needs MMDetection",
        "  broken   plugins        ImportError: [no] such",
        "",
        "Softmax attention in training, on the GPU",
        "  res4: 32 bit blocks of weights; 16 bit flash kernel",
        "",
        "Broken: plugins.",
    ]


def test_the_page_in_a_terminal_says_the_same():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    print_page(FOUND, console)
    page = console.file.getvalue()
    for line in ("3.11", "ImportError: [no] such", "flash kernel", "Broken: plugins."):
        assert line in page
    assert "\N{BALLOT X}" in page


def test_the_command_prints_the_page_alone(found):
    done = subprocess.run(
        [sys.executable, "-m", "nlse_mm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if found.broken else 0), done.stdout
    assert done.stderr == ""
    assert done.stdout.startswith("Python and PyTorch\n  ok       nlse_mm ")
    assert done.stdout.endswith(f"\n\n{summary(found)}\n")


def test_the_summary_names_what_is_broken_and_says_so_where_nothing_is():
    assert summary(FOUND) == "Broken: plugins."
    assert summary(Environment((), ())) == "Everything here works."


def test_importing_nlse_mm_imports_nothing_else():
    code = """
import sys
import nlse_mm
from nlse_mm import environment
assert not {'torch', 'mmengine', 'mmcv', 'rich'} & sys.modules.keys()
assert nlse_mm.check_environment is environment.check_environment
assert not hasattr(nlse_mm, 'no_such_name')
"""
    subprocess.run([sys.executable, "-c", code], check=True)
