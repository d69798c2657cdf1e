"""The benchmark of the blocks: its table, its figure, what it leaves out and why."""

import argparse
import sys

import benchmark_blocks
import pytest

FITS = argparse.Namespace(room=1e6, amp=False, sub_sample=False)


@pytest.fixture
def run(monkeypatch):
    def call(*words):
        words = ("--rounds", "2", *map(str, words))
        monkeypatch.setattr(sys, "argv", ["benchmark_blocks.py", *words])
        benchmark_blocks.main()

    return call


def test_it_writes_ratios_and_says_what_the_peer_cannot_do(run, tmp_path):
    table, figure = tmp_path / "docs" / "blocks.md", tmp_path / "docs" / "cost.svg"
    modes = ("--modes", "dot_product", "concatenation")
    run("--sizes", "24x32:64", *modes, "--output", table, "--plot", figure)
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
    # MMCV's runs forward, but divides the ReLU's output in place.
    assert float(concatenation[ratios[0]]) < 0.1
    assert [concatenation[at] for at in ratios[1:]] == ["-", "-"]
    assert concatenation[-1].startswith("backward")
    assert "64 channels" in figure.read_text()


def test_the_figure_shows_both_blocks_at_the_channels_that_most_sizes_have():
    points = [
        (64, "gaussian", "nlse_mm", 100, 1.0, 10.0),
        (64, "gaussian", "mmcv", 100, 2.0, 20.0),
        (64, "gaussian", "nlse_mm", 400, 3.0, 30.0),
        (32, "gaussian", "nlse_mm", 900, 4.0, 40.0),
    ]
    left, right = benchmark_blocks.plot(points).axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert curves["gaussian, nlse_mm"] == [[100, 1], [400, 3]]
    assert curves["gaussian, mmcv"] == [[100, 2]]
    mebibytes = [line.get_ydata().tolist() for line in right.lines]
    assert mebibytes == [[10, 30], [20]]
    assert len(left.lines) == len(left.get_legend().get_texts()) == 2


def test_a_peer_that_does_not_fit_is_not_run(run, capsys, monkeypatch):
    peer = type("Peer", (), {"__init__": lambda *_, **__: pytest.fail("was built")})
    monkeypatch.setitem(benchmark_blocks.BLOCKS, "mmcv", peer)
    run("--sizes", "6x8:16", "--modes", "gaussian", "--room", "0.00001")
    printed = capsys.readouterr()
    assert "| - | needs about 0 GiB" in printed.err
    assert "needs about 0 GiB" in printed.out


@pytest.mark.parametrize(
    ("mode", "change", "gib"),
    [
        # Two copies of 1,024 channels, 4 bytes each, for 4,200 x 4,200 pairs.
        ("concatenation", {}, "135"),
        ("concatenation", dict(amp=True), "67"),
        ("concatenation", dict(sub_sample=True), "34"),
        ("gaussian", {}, "0"),
    ],
)
def test_what_the_peer_needs_is_counted(mode, change, gib):
    args = argparse.Namespace(**{**vars(FITS), "room": 0.0, **change})
    why = benchmark_blocks.why_not(mode, 4200, 1024, args)
    assert why == f"needs about {gib} GiB"
    assert "GiB" not in benchmark_blocks.why_not(mode, 4200, 1024, FITS)


@pytest.mark.parametrize("size", ["6by8", "6x8:c", "6x8:0", "6x0"])
def test_a_wrong_size_ends_in_a_sentence(size, run, capsys):
    with pytest.raises(SystemExit) as ended:
        run("--sizes", size)
    assert ended.value.code == 2
    assert "argument --sizes: " in capsys.readouterr().err
