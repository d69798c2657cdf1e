"""What all benchmarks share: times in turns, ratios by round, peaks, the report."""

import argparse
import sys

import harness
import pytest
import torch
from benchmark_report import Report

MIB = 2**20


def options(**kwargs):
    return argparse.Namespace(**dict(dict(rounds=3, seconds=60.0) | kwargs))


def test_steps_take_turns_and_the_round_that_warms_up_does_not_count():
    now, order = [0.0], []
    durations = dict(first=[200.0, 1.0, 2.0, 3.0], second=[300.0, 4.0, 5.0, 6.0])

    def step(name):
        order.append(name)
        now[0] += durations[name][order.count(name) - 1]

    steps = dict(first=lambda: step("first"), second=lambda: step("second"))
    seconds = harness.times(steps, options(), clock=lambda: now[0])
    assert order == ["first", "second"] * 4
    assert seconds == dict(first=[1.0, 2.0, 3.0], second=[4.0, 5.0, 6.0])


def test_no_round_begins_after_the_limit_once_there_were_two():
    counted = []
    steps = dict(a=lambda: counted.append("a"), b=lambda: counted.append("b"))
    assert len(harness.times(steps, options(rounds=9, seconds=0.0))["a"]) == 2
    assert counted.count("a") == 3
    alone = harness.times(dict(a=counted.clear), options(rounds=9, seconds=0.0))
    assert len(alone["a"]) == 1


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The third round was slow for both; the medians' own ratio would be 3 / 4.
    own, peer = [1.0, 2.0, 30.0, 3.0, 4.0], [2.0, 4.0, 60.0, 4.0, 4.0]
    assert harness.ratio(own, peer) == 0.5
    assert harness.beside(own, peer, 1e3, 1) == ["3000.0", "4000.0", "0.50"]
    assert harness.beside([2.0], []) == ["2", "-", "-"]
    assert harness.beside([2.0], [0.0]) == ["2", "0", "-"]


def prepare(warm_mib, mib):
    def allocate(number):
        return torch.ones(number * MIB, dtype=torch.uint8)

    return lambda: allocate(warm_mib), lambda: allocate(mib)


@pytest.mark.parametrize("warm_mib", [1, 200])
def test_a_peak_is_that_of_the_step_and_not_of_what_was_before_it(warm_mib):
    before, most = harness.peak_mib(prepare, warm_mib, 64, device="cpu")
    assert 63 < most - before < 70
    assert before > 50  # PyTorch itself


def test_a_training_step_starts_from_no_gradient():
    layer, x = torch.nn.Linear(3, 2), torch.ones(4, 3, requires_grad=True)
    step = harness.training_step(layer, x)
    step()
    step()
    assert torch.equal(layer.bias.grad, torch.full((2,), 4.0))
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(4, 3))
    layer.zero_grad()
    harness.inference_step(layer, x)()
    assert layer.bias.grad is None
    assert not layer.training


def test_the_report_holds_the_command_the_setting_and_every_row(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["/a/benchmark_x.py", "--forms", "a, b"])
    args = options(device="cpu", output=tmp_path / "new" / "x.md")
    report = Report(
        "X beside Y", args, "X.\n\nHow it is done.\n", ["a", "b"], "batch 7"
    )
    report.add("1", "[2]")
    assert capsys.readouterr().err == "1 | [2]\n"
    report.finish("A note.")
    printed = capsys.readouterr().out
    assert "[2]" in printed
    assert printed.endswith("A note.\n")
    title, setting, command, how, table, note = args.output.read_text().split("\n\n")
    assert title == "# X beside Y"
    assert setting.endswith(f"torch {torch.__version__}, 3 rounds, batch 7.")
    assert "python tools/analysis/benchmark_x.py --forms 'a, b'\n" in command
    assert how == "How it is done."
    assert table == "| a | b |\n| --- | --- |\n| 1 | [2] |"
    assert note == "A note.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rounds", "0"], "argument --rounds/--repeats/--repeat: 0 is not 1 or more"),
        (["--threads", "-2"], "argument --threads: -2 is not 1 or more"),
        (["--sizes", "6by8"], "'6by8' is not HxW, such as 50x84"),
        (["--sizes", "6x0"], "'6x0' is not HxW, such as 50x84"),
    ],
)
def test_a_wrong_flag_ends_in_a_sentence(words, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x.py", *words])
    with pytest.raises(SystemExit) as ended:
        harness.parse(harness.benchmark_parser("X.", rounds=3, sizes=["50x84"]))
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
