"""The benchmark of the blocks: its table, its figure, what it leaves out and why."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

SCRIPT = Path(__file__).parents[2] / "tools" / "analysis" / "benchmark_blocks.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "2", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_writes_ratios_and_says_what_the_peer_cannot_do(tmp_path):
    table, figure = tmp_path / "docs" / "blocks.md", tmp_path / "docs" / "cost.png"
    modes = ("--modes", "dot_product", "concatenation")
    done = run("--sizes", "24x32:64", *modes, "--output", table, "--plot", figure)
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.read_text().splitlines()
        if line.startswith("|")
    ]
    head, _, dot_product, concatenation = rows
    assert dot_product[:3] == ["dot_product", "768", "64"]
    ratios = [at for at, name in enumerate(head) if name == "ratio"]
    # Of 768 x 768 weights MMCV's block makes three maps, of 2.25 MiB each; ours none.
    assert float(dot_product[ratios[-1] - 1]) > 4
    assert 0 < float(dot_product[ratios[-1]]) < 0.7
    for at in ratios[:2]:
        assert 0.01 < float(dot_product[at]) < 2
    # MMCV's runs forward, but divides the ReLU's output in place.
    assert float(concatenation[ratios[0]]) < 0.1
    assert [concatenation[at] for at in ratios[1:]] == ["-", "-"]
    assert concatenation[-1].startswith("backward")
    # Its frame is grey, and what it shows is not.
    assert (np.ptp(cv2.imread(str(figure)), axis=2) > 60).sum() > 100


def test_a_peer_that_does_not_fit_is_not_run():
    done = run("--sizes", "6x8:16", "--modes", "gaussian", "--room", "0.00001")
    assert done.returncode == 0, done.stderr
    assert "needs about" in done.stdout
    assert "| - | needs about" in done.stderr


def test_a_wrong_size_ends_in_a_sentence():
    done = run("--sizes", "6by8")
    assert done.returncode == 2
    assert "'6by8' is not HxW or HxW:C" in done.stderr
