"""A training killed at any moment of saving leaves a complete checkpoint."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import find_latest_checkpoint

from nlse_mm.checkpoint import is_complete, latest_complete, load_from_local
from nlse_mm.checkpoint.loading.atomic_backend import TEMPORARY, AtomicBackend

STOCK = "CheckpointHook"


def files(folder):
    """Of a work folder, without the logs and the config that MMEngine puts there."""
    return sorted(
        p.name for p in Path(folder).iterdir() if p.suffix != ".py" and p.is_file()
    )


def test_it_saves_what_mmengines_hook_saves(tmp_path, runner, real_checkpoint):
    torch.manual_seed(0)
    best = dict(save_best="acc", rule="greater")
    runner(tmp_path, checkpoint=best).train()
    ours = load_from_local(str(tmp_path / "epoch_2.pth"))
    stock = load_from_local(str(real_checkpoint))
    assert ours.keys() == stock.keys()
    assert ours["meta"].keys() == stock["meta"].keys()
    hub, stock_hub = (c["message_hub"]["runtime_info"] for c in (ours, stock))
    assert hub.keys() == stock_hub.keys()
    assert Path(find_latest_checkpoint(str(tmp_path))) == tmp_path / "epoch_2.pth"
    assert set(files(tmp_path)) == {
        "best_acc_epoch_2.pth",
        "epoch_1.pth",
        "epoch_2.pth",
        "last_checkpoint",
    }


@pytest.mark.parametrize("keep", [1, 2])
def test_only_the_newest_are_kept(tmp_path, runner, keep):
    runner(tmp_path, epochs=4, checkpoint=dict(max_keep_ckpts=keep)).train()
    kept = [f"epoch_{i}.pth" for i in range(5 - keep, 5)]
    assert files(tmp_path) == [*kept, "last_checkpoint"]


def test_by_iteration_too(tmp_path, runner):
    runner(
        tmp_path,
        checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=1),
    ).train()
    assert files(tmp_path) == ["iter_4.pth", "last_checkpoint"]
    assert latest_complete(tmp_path) == str(tmp_path / "iter_4.pth")


@pytest.fixture(scope="module")
def killed_trainings(tmp_path_factory):
    """For each hook the work folders of trainings killed at the first moment of saving,
    the second and so on; the last one got through."""
    folder, hooks = tmp_path_factory.mktemp("killed"), ("nlse_mm.CheckpointHook", STOCK)
    script = Path(__file__).with_name("die_at_each_moment.py")
    command = [sys.executable, script, folder, *hooks]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return {
        hook: sorted((folder / hook).iterdir(), key=lambda p: int(p.name))
        for hook in hooks
    }


@pytest.fixture(scope="module")
def killed(killed_trainings):
    return killed_trainings["nlse_mm.CheckpointHook"]


def test_whatever_bears_a_checkpoints_name_is_complete(killed):
    assert len(killed) > 30
    for folder in killed:
        for path in folder.glob("*.pth"):
            assert is_complete(path), path


def test_once_saved_there_is_always_one_to_resume_from(killed):
    saved = [latest_complete(folder) is not None for folder in killed]
    assert sum(saved) > 25
    assert saved == sorted(saved), "had one, lost it"
    best = [any(folder.glob("best_acc_*.pth")) for folder in killed]
    assert sum(best) > 20
    assert best == sorted(best), "had one, lost it"


def test_last_checkpoint_always_names_a_complete_one(killed):
    notes = [f / "last_checkpoint" for f in killed if (f / "last_checkpoint").exists()]
    assert len(notes) > 25
    for note in notes:
        assert is_complete(note.read_text()), note


def test_mmengines_own_hook_does_lose_them(killed_trainings):
    """The test above can fail, and our hook is needed."""
    saved = [latest_complete(folder) is not None for folder in killed_trainings[STOCK]]
    assert saved != sorted(saved)


def test_a_killed_training_resumes_at_each_moment_and_clears_up(
    killed, tmp_path, runner
):
    finished = load_from_local(str(killed[-1] / "epoch_2.pth"))["state_dict"]
    half_written = 0
    for folder in killed[-20::4]:
        work_dir = tmp_path / folder.name
        shutil.copytree(folder, work_dir)
        half_written += len(list(work_dir.glob(f"*{TEMPORARY}")))
        again = runner(
            work_dir,
            checkpoint=dict(max_keep_ckpts=1),
            resume=True,
            load_from=latest_complete(work_dir),
        )
        again.train()
        assert not list(work_dir.glob(f"*{TEMPORARY}"))
        weights = again.model.state_dict()
        assert all(torch.equal(weights[k], finished[k]) for k in finished)
    assert half_written > 0


def test_a_full_disk_leaves_the_old_checkpoint_and_no_litter(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    backend = AtomicBackend()
    path = tmp_path / "epoch_1.pth"
    backend.put(b"old", path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        backend.put(b"new", path)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["epoch_1.pth"]


def test_a_removed_file_stays_until_told_and_a_replaced_one_for_good(tmp_path):
    backend = AtomicBackend()
    for name in ("a", "b"):
        backend.put(b"old", tmp_path / name)
        backend.remove(tmp_path / name)
    assert files(tmp_path) == ["a", "b"]
    AtomicBackend().put(b"new", tmp_path / "b")
    backend.remove_outdated()
    assert files(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"new"


def test_a_remote_folder_is_left_to_mmengine(tmp_path, runner):
    training = runner(tmp_path, checkpoint=dict(backend_args=dict(backend="local")))
    training.train()
    hook = next(h for h in training.hooks if type(h).__name__ == "CheckpointHook")
    assert type(hook.file_backend).__name__ == "LocalBackend"
    assert "epoch_2.pth" in files(tmp_path)


def test_an_own_out_dir_works(tmp_path, runner):
    work_dir, out_dir = tmp_path / "work", tmp_path / "out"
    (out_dir / "work").mkdir(parents=True)
    (out_dir / "work" / f"epoch_1.pth{TEMPORARY}").touch()
    runner(work_dir, checkpoint=dict(out_dir=str(out_dir), max_keep_ckpts=1)).train()
    assert files(out_dir / "work") == ["epoch_2.pth"]
    assert latest_complete(work_dir) == str(out_dir / "work" / "epoch_2.pth")
