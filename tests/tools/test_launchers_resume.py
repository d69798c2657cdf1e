"""A training that was killed and resumed is the training that was not."""

import signal
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmcv")
import run

from nlse_mm.checkpoint import load_from_local

SEED = ("--cfg-options", "randomness.seed=3")


def same(a, b):
    """Whether two trees of dicts, lists and tensors are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def assert_same_training(a, b):
    a, b = load_from_local(str(a), "cpu"), load_from_local(str(b), "cpu")
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert same(a[part], b[part]), part


def noted(folder):
    """Processes of the training that noted themselves: trainers and data workers."""
    return {int(pid) for pid in (folder / "pids").read_text().split()}


def alive(pids):
    def is_alive(pid):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z"

    return {pid for pid in pids if is_alive(pid)}


def wait_until_dead(pids, seconds=5):
    end = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(pids)


@pytest.fixture(scope="module")
def whole_and_killed(tmp_path_factory):
    """A whole training, one killed in its second epoch, what the first printed, and
    whether processes of the second were left."""
    whole, killed = (tmp_path_factory.mktemp(name) for name in ("whole", "killed"))
    processes = [
        run.train(whole, "config.py", *SEED),
        run.train(killed, "config.py", *SEED, "model.die_at=10"),
    ]
    run.finish(processes[1], killed, exit_code=-signal.SIGKILL)
    # PyTorch's workers look every 5 seconds whether their parent lives.
    left = alive(noted(killed)) and not wait_until_dead(noted(killed), seconds=1)
    return whole, killed, run.finish(processes[0], whole), left


def test_no_data_worker_outlives_a_killed_training(whole_and_killed):
    _, killed, _, left = whole_and_killed
    # The trainer and two workers of each of two epochs; a resume adds its own.
    assert len(noted(killed)) >= 5
    assert not left


def test_resumed_training_ends_as_the_uninterrupted_one(whole_and_killed):
    whole, killed, printed, _ = whole_and_killed
    assert not (killed / "epoch_2.pth").exists()
    resumed = run.finish(run.train(killed, "config.py", "--resume"), killed)
    assert "resumed epoch: 1, iter: 6" in resumed
    assert_same_training(whole / "epoch_3.pth", killed / "epoch_3.pth")
    assert run.metrics(resumed) == run.metrics(printed)[1:]


def test_resuming_a_finished_training_evaluates_and_trains_nothing(whole_and_killed):
    whole, _, printed, _ = whole_and_killed
    (whole / "pids").unlink()
    again = run.finish(run.train(whole, "config.py", "--resume", "auto"), whole)
    assert run.metrics(again) == run.metrics(printed)[-1:]
    assert not (whole / "pids").exists()


def test_iteration_loop_resumes_exactly_with_a_seed_that_it_chose(tmp_path):
    # Without a seed in the config: only the first checkpoint knows it.
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ("--cfg-options", "model.die_at=8")
    process = run.train(killed, "iterations.py", *options)
    run.finish(process, killed, exit_code=-signal.SIGKILL)
    seed = load_from_local(str(killed / "iter_6.pth"), "cpu")["meta"]["seed"]
    processes = [
        run.train(killed, "iterations.py", "--resume"),
        run.train(whole, "iterations.py", "--cfg-options", f"randomness.seed={seed}"),
    ]
    run.finish(processes[0], killed)
    run.finish(processes[1], whole)
    assert_same_training(whole / "iter_14.pth", killed / "iter_14.pth")


def test_two_processes_without_a_gpu_test_to_the_digits_of_their_training(tmp_path):
    trained, tested = tmp_path / "trained", tmp_path / "tested"
    options = ("--cfg-options", "train_cfg.max_epochs=1", "model.norm_cfg.type=SyncBN")
    printed = run.finish(run.dist_train(trained, "config.py", *options), trained)
    assert "SyncBN is replaced by BN" in printed
    checkpoint = trained / "epoch_1.pth"
    script = run.TOOLS / "dist_test.sh"
    command = (script, run.TOY / "config.py", checkpoint, 2, "--work-dir", tested)
    again = run.finish(run.start(tested, *command), tested)
    assert len(run.metrics(again)) == 1
    assert run.metrics(again) == run.metrics(printed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "last", "die_at"),
    [("config.py", "epoch_3.pth", 5), ("iterations.py", "iter_14.pth", 8)],
)
def test_two_processes_resume_exactly(tmp_path, config, last, die_at):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run.finish(run.dist_train(whole, config, *SEED), whole)
    process = run.dist_train(killed, config, *SEED, f"model.die_at={die_at}")
    run.finish(process, killed, exit_code=1)
    assert wait_until_dead(noted(killed))
    run.finish(run.dist_train(killed, config, "--resume"), killed)
    assert_same_training(whole / last, killed / last)


@pytest.mark.slow
def test_killing_the_agent_leaves_no_process_behind(tmp_path):
    options = (*SEED, "train_cfg.max_epochs=100000")
    process = run.dist_train(tmp_path, "config.py", *options)
    while not (tmp_path / "epoch_2.pth").exists():
        assert process.poll() is None, (tmp_path / "output").read_text()
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_until_dead(noted(tmp_path))
