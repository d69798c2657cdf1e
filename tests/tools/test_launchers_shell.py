"""The shell scripts: what they refuse, and what they hand on to torchrun and srun."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
# Says that there are two GPUs, or what it was called with.
PYTHON = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then echo 2; else printf '%s\\n' "$@"; fi
"""


@pytest.fixture
def call(tmp_path):
    for name in ("python", "srun"):
        stand_in = tmp_path / name
        stand_in.write_text(PYTHON)
        stand_in.chmod(0o755)

    def run(script, *arguments, **variables):
        keep = {
            key: value
            for key, value in os.environ.items()
            if key not in {"NNODES", "NODE_RANK", "MASTER_ADDR", "PORT", "GPUS"}
        }
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [TOOLS / script, *arguments],
            env=keep | dict(PATH=path, VIRTUAL_ENV=str(tmp_path)) | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh", "slurm_test.sh"]
)
def test_without_arguments_the_usage_in_one_line(call, script):
    done = call(script)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("usage: ")


def test_more_gpus_than_there_are_is_refused(call):
    done = call("dist_train.sh", "config.py", "3")
    assert done.returncode == 2
    assert done.stderr == "error: 3 GPUs were asked for, and 2 are here\n"


@pytest.mark.parametrize("number", ["0", "two", "--amp"])
def test_a_number_of_gpus_that_is_none_is_refused(call, number):
    done = call("dist_train.sh", "config.py", number)
    assert done.returncode == 2
    assert f"is '{number}', not 1, 2, 3" in done.stderr


def test_one_machine_meets_at_a_free_port(call):
    done = call("dist_train.sh", "config.py", "2", "--cfg-options", 'a="x y"')
    words = done.stdout.splitlines()
    assert {"--standalone", "--nnodes=1", "--nproc-per-node=2"} <= set(words)
    script = words.index(str(TOOLS / "train.py"))
    options = ["config.py", "--launcher", "pytorch", "--cfg-options", 'a="x y"']
    assert words[script + 1 :] == options


def test_several_machines_meet_where_the_variables_say(call):
    where = dict(NNODES="2", NODE_RANK="1", MASTER_ADDR="10.0.0.1", PORT="29501")
    done = call("dist_test.sh", "config.py", "x.pth", "2", "--tta", **where)
    words = done.stdout.splitlines()
    meeting = {"--node-rank=1", "--master-addr=10.0.0.1", "--master-port=29501"}
    assert {"--nnodes=2", *meeting} <= set(words)
    script = words.index(str(TOOLS / "test.py"))
    options = ["config.py", "x.pth", "--launcher", "pytorch", "--tta"]
    assert words[script + 1 :] == options


def test_slurm_gets_what_mmdetections_script_gives_it(call):
    variables = dict(GPUS="16", GPUS_PER_NODE="4", SRUN_ARGS="--mem 8G")
    work = ("config.py", "work", "--resume")
    done = call("slurm_train.sh", "part", "job", *work, **variables)
    words = done.stdout.splitlines()
    assert {"--partition=part", "--job-name=job", "--gres=gpu:4"} <= set(words)
    assert {"--ntasks=16", "--ntasks-per-node=4", "--mem", "8G"} <= set(words)
    script = words.index(str(TOOLS / "train.py"))
    options = ["config.py", "--work-dir", "work", "--launcher", "slurm", "--resume"]
    assert words[script + 1 :] == options


@pytest.mark.parametrize(
    ("active", "is_own"),
    [
        (dict(), True),
        (dict(CONDA_PREFIX="conda", CONDA_DEFAULT_ENV="base"), True),
        (dict(CONDA_PREFIX="conda", CONDA_DEFAULT_ENV="mine"), False),
        (dict(VIRTUAL_ENV="venv"), False),
    ],
    ids=["none", "conda's base", "conda", "venv"],
)
def test_the_projects_environment_is_taken_unless_one_is_active(
    tmp_path, active, is_own
):
    own = tmp_path / ".venv" / "bin" / "python"
    for file in (own, tmp_path / "theirs" / "python"):
        file.parent.mkdir(parents=True)
        file.touch(0o755)
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOLS / "environment.sh", tmp_path / "tools")
    done = subprocess.run(
        ["bash", "-euc", ". tools/environment.sh; command -v python"],
        cwd=tmp_path,
        env=dict(PATH=f"{tmp_path}/theirs:/usr/bin:/bin") | active,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(own if is_own else tmp_path / "theirs/python")


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("newst", "is not one of oldest, default, newest and onedl"),
        ("newest", "is not installed; STACK=newest tools/install.sh installs it"),
    ],
)
def test_a_stack_that_is_not_there_is_refused(call, tmp_path, stack, said):
    shutil.copytree(TOOLS, tmp_path / "tools")
    done = call(tmp_path / "tools" / "dist_train.sh", "config.py", "1", STACK=stack)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: STACK={stack} {said}\n"


def test_the_default_stack_that_is_not_there_is_the_python_on_path(call, tmp_path):
    shutil.copytree(TOOLS, tmp_path / "tools")
    script = tmp_path / "tools" / "dist_train.sh"
    assert call(script, "config.py", "1", STACK="default").returncode == 0


@pytest.mark.parametrize("chosen", ["VIRTUAL_ENV", "STACK"])
def test_a_stack_of_ours_is_handed_on_as_an_active_environment(tmp_path, chosen):
    own = tmp_path / ".venv-oldest"
    (own / "bin").mkdir(parents=True)
    (own / "bin" / "python").touch(0o755)
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOLS / "environment.sh", tmp_path / "tools")
    child = "bash -c 'echo ${STACK-none} $VIRTUAL_ENV'"
    done = subprocess.run(
        ["bash", "-euc", f". tools/environment.sh; echo $STACK; {child}"],
        cwd=tmp_path,
        env=dict(PATH="/usr/bin:/bin")
        | {chosen: str(own) if chosen == "VIRTUAL_ENV" else "oldest"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["oldest", "none", str(own)]
