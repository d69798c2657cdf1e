"""What is installed and broken isn't said to be missing; nor what is there, absent."""

import subprocess
import sys

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from nlse_mm.checkpoint.conversion.families import family_of
from nlse_mm.checkpoint.loading.local_loader import load_from_local
from nlse_mm.errors import CheckpointError


@pytest.fixture
def broken(monkeypatch):
    """Let the import of a package fail as if it were there."""

    def fail(package, error):
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name.partition(".")[0] == package:
                    raise error

        for name in [n for n in sys.modules if n.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])

    return fail


LACKS = ModuleNotFoundError("No module named 'requests'", name="requests")


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        ("safetensors", "PATH/a.safetensors", "needs safetensors, which can't be "),
        (
            "huggingface_hub",
            "timm://seresnet50.a1",
            "needs huggingface_hub, which can't",
        ),
        (
            "torchvision",
            "torchvision://resnet50.v2",
            "is not in MMEngine's table, where near it are resnet50, ",
        ),
    ],
)
def test_a_broken_package_is_told_by_its_error(
    broken, tmp_path, monkeypatch, package, name, words
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "a.safetensors").touch()
    name = name.replace("PATH", str(tmp_path))
    broken(package, LACKS)
    with pytest.raises(CheckpointError) as error:
        CheckpointLoader.load_checkpoint(name)
    said = str(error.value)
    assert said.startswith(f"{name} {words}")
    assert "imported: ModuleNotFoundError: No module named 'requests'" in said
    assert "pip install" not in said


@pytest.mark.parametrize("package", ["safetensors"])
def test_a_missing_package_is_told_with_the_command(broken, tmp_path, package):
    broken(package, ModuleNotFoundError(f"No module named {package!r}", name=package))
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(CheckpointError, match="missing: pip install safetensors"):
        load_from_local(str(tmp_path / "a.safetensors"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_weights_of_a_device_that_is_not_here_are_not_cut_short(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(dict(a=torch.zeros(2)), path, _use_new_zipfile_serialization=False)
    written = path.read_bytes()
    moved = written.replace(b"\x03\x00\x00\x00cpu", b"\x06\x00\x00\x00cuda:0")
    assert moved != written
    path.write_bytes(moved)
    with pytest.raises(RuntimeError, match="on a CUDA device") as error:
        load_from_local(str(path))
    assert not isinstance(error.value, CheckpointError)
    assert load_from_local(str(path), "cpu")["a"].tolist() == [0, 0]


@pytest.mark.parametrize("prefix", ["encoder.", "model.backbone.", "module."])
def test_a_resnet_behind_a_prefix_is_not_said_to_be_none(prefix):
    keys = [f"{prefix}conv1.weight", f"{prefix}layer1.0.conv1.weight"]
    with pytest.raises(CheckpointError) as error:
        family_of(keys, "a.pth")
    assert str(error.value) == (
        f"a.pth has {prefix!r} before its keys, as in {keys[1]}: the weights of a "
        "ResNet are found where no more than 'backbone.' is"
    )


def test_what_is_no_resnet_is_said_to_be_none():
    with pytest.raises(CheckpointError, match="holds no weights of a ResNet: it has"):
        family_of(["blocks.0.attn.qkv.weight", "conv1.weight"], "a.pth")


def test_published_names_are_known_to_whoever_imports_the_checkpoints_alone():
    code = """
import sys
from nlse_mm.checkpoint import CheckpointError, load_state_dict_from
assert 'nlse_mm.registry' not in sys.modules
try:
    load_state_dict_from('torchvision://nosuchname')
except CheckpointError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    # By MMEngine's table, or by torchvision's where that is installed.
    said = ("is not in MMEngine's table", "is no name of published weights")
    assert any(f"torchvision://nosuchname {s}" in done.stdout for s in said), (
        done.stderr
    )
