"""Run the launchers on the toy training, as a user does: in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

TOY = Path(__file__).parent
TOOLS = TOY.parents[2] / "tools"


def start(work_dir, *command):
    """Start a command with the toy's module in reach; its output goes to a file."""
    work_dir.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")])
    env = os.environ | dict(
        PYTHONPATH=paths, TOY_LOG=str(work_dir / "pids"), OMP_NUM_THREADS="1"
    )
    with (work_dir / "output").open("w") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def train(work_dir, config, *options):
    script = TOOLS / "train.py"
    return start(
        work_dir, sys.executable, script, TOY / config, "--work-dir", work_dir, *options
    )


def dist_train(work_dir, config, *options):
    script = TOOLS / "dist_train.sh"
    return start(work_dir, script, TOY / config, 2, "--work-dir", work_dir, *options)


def finish(process, work_dir, exit_code=0):
    """Wait, and return what the command printed."""
    process.wait(timeout=300)
    printed = (work_dir / "output").read_text()
    assert process.returncode == exit_code, printed[-3000:]
    return printed


def metrics(printed):
    """The evaluations that were printed, in their digits."""
    words = printed.split()
    return [words[i + 1] for i, word in enumerate(words) if word == "mean:"]
