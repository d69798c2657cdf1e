"""The benchmark of the blocks: its table, its picture, what it leaves out and why."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "tools" / "analysis" / "benchmark_blocks.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "2", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_writes_ratios_and_says_what_the_peer_cannot_do(tmp_path):
    table, picture = tmp_path / "docs" / "blocks.md", tmp_path / "docs" / "cost.png"
    modes = ("--modes", "dot_product", "concatenation")
    # Maps of 2 MiB: those of fewer positions may take no new page of memory.
    done = run("--sizes", "24x32:64", *modes, "--output", table, "--plot", picture)
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.read_text().splitlines()
        if line.startswith("|")
    ]
    head, _, dot_product, concatenation = rows
    assert dot_product[:3] == ["dot_product", "768", "64"]
    for at, name in enumerate(head):
        if name == "ratio":
            assert float(dot_product[at]) >= 0
    # MMCV's runs forward, but divides the ReLU's output in place.
    ratios = [at for at, name in enumerate(head) if name == "ratio"]
    assert float(concatenation[ratios[0]]) > 0
    assert [concatenation[at] for at in ratios[1:]] == ["-", "-"]
    assert concatenation[-1].startswith("backward")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_peer_that_does_not_fit_is_not_run():
    done = run("--sizes", "6x8:16", "--modes", "gaussian", "--room", "0.00001")
    assert done.returncode == 0, done.stderr
    assert "needs about" in done.stdout
    assert "| - | needs about" in done.stderr


def test_a_wrong_size_ends_in_a_sentence():
    done = run("--sizes", "6by8")
    assert done.returncode == 2
    assert "'6by8' is not HxW or HxW:C" in done.stderr
