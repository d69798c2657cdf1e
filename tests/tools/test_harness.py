"""What all benchmarks share: times in turns, ratios by round, peaks, the report."""

import argparse
import sys

import harness
import pytest
import torch
from harness import Report

from nlse_mm.errors import ConfigError


def options(**kwargs):
    defaults = dict(rounds=3, seconds=60.0, device="cpu", output=None, what="")
    return argparse.Namespace(**{**defaults, **kwargs})


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


def test_a_gpus_step_is_timed_to_the_end_of_what_it_started(monkeypatch):
    """On a GPU a step returns at once, and its work is done in the background."""
    now, queued = [0.0], [70.0]  # what was begun before the first step isn't its own

    def synchronize():
        while queued:
            work = queued.pop(0)
            now[0] += work() if callable(work) else work

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            queued.append(lambda: setattr(self, "at", now[0]) or 0.0)

        def synchronize(self):
            synchronize()

        def elapsed_time(self, end):
            return 1e3 * (end.at - self.at)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    steps = dict(short=lambda: queued.append(2.0), long=lambda: queued.append(5.0))
    seconds = harness.times(steps, options(device="cuda"))
    assert seconds == dict(short=[2.0] * 3, long=[5.0] * 3)
    assert not queued


def test_a_gpu_that_is_not_there_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["x.py", "--device", "cuda"])
    with pytest.raises(ConfigError, match="--device cuda needs a GPU"):
        harness.parse(harness.benchmark_parser("X.", rounds=3))


def test_a_pass_leaves_the_callers_autocast_on():
    layer, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    found = []
    layer.register_forward_hook(lambda *call: found.append(call[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        harness.pass_of(layer, x, training=False)()
    harness.pass_of(layer, x, training=False)()
    harness.pass_of(layer, x, training=False, amp=True)()
    assert found == [torch.bfloat16, torch.float32, torch.bfloat16]


def test_a_cpus_step_waits_for_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: pytest.fail("waited"))
    assert len(harness.times(dict(a=int), options())["a"]) == 3


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
    both = dict(peer=peer, own=own)
    assert harness.beside(both, ["own", "peer"], 1e3, 1) == ["3000.0", "4000.0", "0.50"]
    assert harness.beside(dict(a=[2.0]), "ab") == ["2", "-", "-"]
    assert harness.beside(dict(a=[2.0], b=[0.0]), "ab") == ["2", "0", "-"]


def test_a_training_passes_peak_is_its_output_and_the_gradients():
    relu, args = dict(a=torch.nn.ReLU), options(amp=False)
    peak = harness.training_peaks(relu, (1, 4, 1024, 1024), args)["a"][0]
    assert 47 < peak < 56  # 16 MiB each: the output, its gradient and the input's


def test_a_step_below_the_kernels_resolution_takes_nothing(monkeypatch):
    monkeypatch.setattr(harness, "peak_mib", lambda *_: (10.0, 9.9))
    assert harness.training_peaks(dict(a=None), (), options(amp=False)) == {"a": [0.0]}


def test_a_training_step_starts_from_no_gradient():
    layer, x = torch.nn.Linear(3, 2), torch.ones(4, 3, requires_grad=True)
    step = harness.pass_of(layer, x, training=True)
    step()
    step()
    assert torch.equal(layer.bias.grad, torch.full((2,), 4.0))
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(4, 3))
    layer.zero_grad()
    harness.pass_of(layer, x, training=False)()
    assert layer.bias.grad is None
    assert x.grad is None
    assert not layer.training


def test_the_report_holds_the_command_the_setting_and_every_row(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["/a/benchmark_x.py", "--forms", "a, b"])
    args = options(output=tmp_path / "new" / "x.md", what="What it is.")
    report = Report("X beside Y", ["a", "b"], "batch 7", args)
    report.add("1", "[2]")
    report.add("3")
    assert capsys.readouterr().err == "1 | [2]\n3 | \n"
    report.finish("A note.")
    printed = capsys.readouterr().out
    assert "[2]" in printed
    assert printed.endswith("A note.\n")
    parts = args.output.read_text().split("\n\n")
    title, setting, command, what, how, table, note = parts
    assert title == "# X beside Y"
    assert setting.endswith(f"torch {torch.__version__}, 3 rounds, batch 7.")
    assert "python tools/analysis/benchmark_x.py --forms 'a, b'\n" in command
    assert (what, how) == ("What it is.", harness.HOW)
    assert table == "| a | b |\n| --- | --- |\n| 1 | [2] |\n| 3 |  |"
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


def test_the_report_takes_what_is_measured_from_the_tools_docstring(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py", "--repeat", "2", "--out", "y.md"])
    args = harness.parse(harness.benchmark_parser("X.\n\nY\nis Z.\n", 3, (8, 9)))
    assert (args.what, args.rounds, args.size) == ("Y\nis Z.", 2, (8, 9))
    assert args.output.name == "y.md"
