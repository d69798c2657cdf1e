"""MMCV's operators: none, compiled for another PyTorch, for the CPU only."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS

from nlse_mm.environment import operators, packages
from nlse_mm.environment.import_errors import explain, how_to_compile
from nlse_mm.environment.openmmlab import openmmlab
from nlse_mm.errors import MissingPackageError
from nlse_mm.training.user_error import in_one_sentence

TOOLS = Path(__file__).parents[2] / "tools"

pytest.importorskip("mmcv._ext")
C = "void gone(void); void *PyInit__ext(void) { gone(); return 0; }"


def page_and_launcher(run):
    """Return what the page says of the operators, and a launcher's only line."""
    page = run("-m", "nlse_mm")
    assert page.returncode == 1, page.stderr
    said = [line for line in page.stdout.splitlines() if "mmcv operators" in line]
    launcher = run(TOOLS / "train.py", "config.py")
    assert launcher.returncode == 2, launcher.stderr
    assert launcher.stderr.count("\n") == 1, launcher.stderr
    return said[0], launcher.stderr


def test_mmcv_without_operators_is_told_with_the_way_to_compile_them(
    run, mmcv_without_operators
):
    pytest.importorskip("mmdet")
    page, launcher = page_and_launcher(run)
    for said in page, launcher:
        assert "No module named 'mmcv._ext' (" in said
        assert "has no compiled operators, such as the nms and RoIAlign" in said
        assert how_to_compile() in said
    assert page.startswith("  broken ")
    assert launcher.startswith("error: config.py has default_scope='mmdet', and ")


def test_operators_that_cannot_be_loaded_are_told_with_both_names(
    run, mmcv_without_operators, tmp_path
):
    pytest.importorskip("mmdet")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (tmp_path / "ext.c").write_text(C)
    compile_it = ["cc", "-shared", "-fPIC", "-o", mmcv_without_operators, "ext.c"]
    subprocess.run(compile_it, cwd=tmp_path, check=True)
    page, launcher = page_and_launcher(run)
    mmcv = packages.name_and_version(packages.MMCV)
    for said in page, launcher:
        assert "undefined symbol: gone (the operators of " in said
        assert f"the operators of {mmcv} were compiled for another PyTorch" in said
        assert f"the installed PyTorch {torch.__version__}: " in said
        assert how_to_compile() in said


def test_a_file_that_is_no_library_is_of_another_pytorch_too(
    run, mmcv_without_operators
):
    mmcv_without_operators.write_text("text")
    code = """
from nlse_mm.environment.import_errors import reason
try:
    import mmcv.ops
except ImportError as error:
    print(reason(error))
"""
    said = run("-c", code).stdout
    assert "ImportError: " in said
    assert "were compiled for another PyTorch" in said


@pytest.mark.parametrize(
    ("installed", "commands"),
    [
        ("mmcv 2.1.0", "pip install 'setuptools<81' "),
        ("mmcv-lite 2.1.0", "pip uninstall -y mmcv-lite; pip install 'setuptools<81' "),
        ("onedl-mmcv 2.3.6", "pip install 'setuptools<81' "),
    ],
)
def test_what_to_compile_is_of_the_same_set(installed, commands, monkeypatch):
    module = "nlse_mm.environment.import_errors.name_and_version"
    monkeypatch.setattr(module, lambda package: installed)
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    said = explain(ModuleNotFoundError("No module named 'mmcv._ext'", name="mmcv._ext"))
    name, version = installed.replace("-lite", "").split()
    assert f": {commands}" in said
    assert said.endswith(f"--no-binary={name} {name}=={version}")


@pytest.mark.parametrize(("version", "clone"), [("2.13.1", False), ("2.14.0", True)])
def test_where_pytorch_wants_cpp20_a_clone_compiles(version, clone, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    said = explain(ModuleNotFoundError("No module named 'mmcv._ext'", name="mmcv._ext"))
    assert said.endswith("tools/install.sh in a clone of nlse_mm") == clone


NOT_FOUND = "nms_impl: implementation for device cuda:0 not found.\n"
OTHER_GPUS = "CUDA error: no kernel image is available for execution on the device\n..."


def add_gpu(monkeypatch, said=NOT_FOUND):
    """Let PyTorch find a GPU, and an operator raise what it says, if anything."""

    def run(device):
        assert device == "cuda"
        if said:
            raise RuntimeError(said)

    def crash():
        raise SystemError("not to be asked beside a GPU")

    monkeypatch.setattr(operators, "run_operator", run)
    extension = sys.modules["mmcv._ext"]
    monkeypatch.setattr(extension, "get_compiling_cuda_version", crash)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def on_gpu(model, monkeypatch, said=NOT_FOUND):
    """Let a model's parameters be on a GPU, for those who ask them."""
    add_gpu(monkeypatch, said)
    parameter = torch.nn.Parameter(torch.zeros(1))
    monkeypatch.setattr(torch.nn.Parameter, "device", torch.device("cuda"))
    monkeypatch.setattr(type(model), "parameters", lambda self: iter([parameter]))
    return model


class Model(torch.nn.Module):
    def __init__(self, *parts, **test_cfg):
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)
        self.test_cfg = test_cfg


def roi_align():
    from mmcv.ops import RoIAlign

    return RoIAlign(7)


def focal_loss():
    pytest.importorskip("mmdet")
    return MODELS.build(dict(type="mmdet.FocalLoss"))


CALLING = {
    "RoIAlign": lambda: Model(roi_align()),
    "Model": lambda: Model(nms=dict(type="nms")),
    "FocalLoss": lambda: Model(focal_loss()),
}


@pytest.mark.parametrize("caller", CALLING)
def test_a_model_that_needs_operators_is_refused_on_a_gpu(caller, monkeypatch):
    model = on_gpu(CALLING[caller](), monkeypatch)
    with pytest.raises(MissingPackageError) as error:
        operators.check_operators(model, training=True)
    assert str(error.value).startswith(f"{caller} can't run: the operators of ")
    assert "compiled for the CPU only, and PyTorch uses a GPU" in str(error.value)
    assert "FORCE_CUDA=1 " in str(error.value)


def test_a_model_without_operators_runs_on_a_gpu_as_before(monkeypatch):
    model = on_gpu(Model(torch.nn.Conv2d(1, 1, 1)), monkeypatch)
    operators.check_operators(model, training=True)


def test_a_model_whose_loss_needs_operators_can_be_tested_without(monkeypatch):
    model = on_gpu(Model(focal_loss()), monkeypatch)
    operators.check_operators(model, training=False)


def test_a_model_on_the_cpu_is_not_refused_beside_a_gpu(monkeypatch):
    model = Model(torch.nn.Linear(1, 1), roi_align())
    add_gpu(monkeypatch)
    operators.check_operators(model, training=True)


def test_operators_that_run_on_the_gpu_are_let_through(monkeypatch):
    model = on_gpu(CALLING["RoIAlign"](), monkeypatch, said=None)
    operators.check_operators(model, training=True)
    found = {finding.name: finding for finding in openmmlab()}["mmcv operators"]
    assert (found.mark, found.text) == ("ok", "run on the GPU")


def test_operators_for_other_gpus_are_told(monkeypatch):
    model = on_gpu(CALLING["RoIAlign"](), monkeypatch, said=OTHER_GPUS)
    with pytest.raises(MissingPackageError, match="for other GPUs than the one here"):
        operators.check_operators(model, training=True)


def test_a_full_gpu_is_no_matter_of_the_operators(monkeypatch):
    model = on_gpu(CALLING["RoIAlign"](), monkeypatch, said="CUDA out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        operators.check_operators(model, training=True)


@pytest.mark.parametrize(
    ("version", "named"), [("12.1", "CUDA 12.1"), ("rocm not available", "ROCm")]
)
def test_without_a_gpu_the_page_tells_for_which_they_are(version, named, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    extension = sys.modules["mmcv._ext"]
    monkeypatch.setattr(extension, "get_compiling_cuda_version", lambda: version)
    found = {finding.name: finding for finding in openmmlab()}["mmcv operators"]
    assert found.text == f"compiled for {named}"


@pytest.mark.gpu
def test_the_operators_here_run_on_the_gpu():
    assert operators.why_not_on_gpu() is None


def test_the_page_tells_operators_for_the_cpu_beside_a_gpu(monkeypatch):
    add_gpu(monkeypatch)
    found = {finding.name: finding for finding in openmmlab()}["mmcv operators"]
    assert found.mark == "broken"
    assert "compiled for the CPU only, and PyTorch uses a GPU" in found.text


def test_operators_that_were_left_out_are_named(monkeypatch):
    monkeypatch.delattr(sys.modules["mmcv._ext"], "ms_deform_attn_forward")
    found = {finding.name: finding for finding in openmmlab()}["mmcv operators"]
    assert found.text.endswith(", without deformable attention")


def test_what_mmcv_raises_on_a_gpu_ends_in_one_sentence(capsys):
    @in_one_sentence
    def main():
        raise RuntimeError("nms_impl: implementation for device cuda:0 not found.")

    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert said.startswith("error: RuntimeError: nms_impl: implementation for device")
    assert "compiled for the CPU only" in said
    assert said.count("\n") == 1
