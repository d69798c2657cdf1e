"""Loading a file: safely, and each failure in one sentence."""

import os
import pickle
import zipfile

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from torch import nn

from nlse_mm.checkpoint.loading import local_loader
from nlse_mm.errors import CheckpointError


class Attack:
    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), "cpu", logger="silent")


def refusal(path, *words):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_mmengine_loads_a_real_checkpoint_through_us(real_checkpoint):
    model = nn.Module()
    model.linear = nn.Linear(3, 1)
    checkpoint = load_checkpoint(model, str(real_checkpoint), logger="silent")
    assert torch.equal(model.linear.weight, checkpoint["state_dict"]["linear.weight"])


@pytest.mark.parametrize("variable", ["0", "1"])
def test_a_file_that_runs_code_is_refused_whatever_the_environment(
    tmp_path, monkeypatch, variable
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", variable)
    path, mark = tmp_path / "evil.pth", tmp_path / "executed"
    torch.save(dict(state_dict={}, meta=Attack(mark)), path)
    refusal(path, "posix.system", "refused to load")
    assert not mark.exists()


def test_old_formats_and_plain_pickles_that_run_code_are_refused(tmp_path):
    mark = tmp_path / "executed"
    legacy, plain = tmp_path / "legacy.pth", tmp_path / "plain.pth"
    torch.save(Attack(mark), legacy, _use_new_zipfile_serialization=False)
    plain.write_bytes(pickle.dumps(Attack(mark), protocol=2))
    refusal(legacy, "posix.system")
    refusal(plain, "posix.system")
    assert not mark.exists()


def test_getattr_on_anything_else_is_named(tmp_path):
    class Getattr:
        def __reduce__(self):
            return getattr, (nn.Linear, "forward")

    torch.save(dict(meta=Getattr()), tmp_path / "a.pth")
    refusal(tmp_path / "a.pth", "torch.nn.modules.linear.Linear")

    class OwnGetattr:
        def __reduce__(self):
            return getattr, (dict, "items")

    torch.save(dict(meta=OwnGetattr()), tmp_path / "b.pth")
    refusal(tmp_path / "b.pth", "refused to load")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_said_to_be_cut_short(
    tmp_path, real_checkpoint, share
):
    data = real_checkpoint.read_bytes()
    path = tmp_path / "epoch_1.pth"
    path.write_bytes(data[: int(share * len(data))])
    refusal(path, "cut short", f"({int(share * len(data))} bytes)")


def test_a_truncated_checkpoint_in_the_old_format_as_well(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(dict(w=torch.rand(99)), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-40])
    refusal(path, "cut short")


def test_a_hole_in_the_middle_is_damage(tmp_path):
    path = tmp_path / "epoch_1.pth"
    torch.save(dict(w=torch.ones(1000)), path)
    data = path.read_bytes()
    path.write_bytes(data[:8] + bytes(4000) + data[4008:])
    refusal(path, "damaged")


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path):
    text, archive, script = (tmp_path / n for n in ("a.txt", "b.zip", "c.pt"))
    text.write_text("model = dict(type='MaskRCNN')\n")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "hello")
    torch.jit.script(nn.ReLU()).save(str(script))
    for path in (text, archive, script):
        refusal(path, "is not a checkpoint")


def test_a_tensor_alone_is_no_checkpoint(tmp_path):
    torch.save(torch.rand(2), tmp_path / "a.pth")
    refusal(tmp_path / "a.pth", "it holds a Tensor")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        load(tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load(tmp_path)


def test_errors_that_are_not_the_files_fault_stay_as_they_are(real_checkpoint):
    # PyTorch 2.1 asks each kind of device in turn, and the HPU's complains.
    errors = (RuntimeError, AssertionError)
    with pytest.raises(errors, match=r"nonsense|HPU") as caught:
        local_loader.load_from_local(str(real_checkpoint), "nonsense")
    assert not isinstance(caught.value, CheckpointError)


def test_older_pytorch_loads_and_refuses_as_well(
    tmp_path, real_checkpoint, monkeypatch
):
    monkeypatch.setattr(local_loader, "has_safe_globals", lambda: False)
    assert load(real_checkpoint)["meta"]["epoch"] == 2
    mark = tmp_path / "executed"
    torch.save(dict(meta=Attack(mark)), tmp_path / "evil.pth")
    refusal(tmp_path / "evil.pth", "posix.system")
    assert not mark.exists()
