"""Comparisons repeat nothing that is finished, resume what isn't, and count rightly."""

import csv
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import compare
import numpy as np
import pytest
from comparison import run as run_module
from comparison.report import tabulate, write
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TOOL = ROOT / "tools" / "analysis"
TOY = HERE / "compare_toy"


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Launchers that take no time, three configs, and ``call(*words)`` for main."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "TOOLS", TOY)
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    for name, value in (
        ("LOCAL_RANK", 0),
        ("OMP_NUM_THREADS", 1),
        ("MKL_NUM_THREADS", 1),
    ):
        monkeypatch.setenv(name, str(value))
    for name, value in (("base", 0.5), ("same", 0.5), ("better", 0.9)):
        write_config(name, value)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, words)])
        compare.main()

    return call


def write_config(name, value, more=""):
    text = f"default_scope = 'mmengine'\nmodel = dict()\nvalue = {value}\n"
    Path(f"{name}.py").write_text(f"{text}test_evaluator = dict()\n{more}")


def log():
    return [line.split() for line in Path("log").read_text().splitlines()]


def sentence_of(call, capfd, *words):
    with pytest.raises(SystemExit) as ended:
        call(*words)
    assert ended.value.code == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert said[-1].startswith(("error: ", "compare.py: error: "))
    return said[-1].partition("error: ")[2]


def test_each_config_is_trained_and_evaluated_with_each_seed_once(toy, capfd):
    words = ("base.py", "better.py", "--seeds", 0, 2, "--work-dir", "w")
    toy(*words)
    first = log()
    order = [("base", "0"), ("better", "0"), ("base", "2"), ("better", "2")]
    for what in ("start", "trained", "tested"):
        assert [tuple(line[1:3]) for line in first if line[0] == what] == order
    printed = capfd.readouterr().out
    assert "[3/4] base, seed 2: training\n" in printed
    assert (
        "base, seed 2: toy/score 0.700, toy/large -1.000; about 0 min left" in printed
    )
    assert "| base | 2 | 0.600 ± 0.141 (0.100) |" in printed
    assert "| better | 2 | 1.000 ± 0.141 (0.100), p = " in printed
    assert "large" not in printed.split("|", 1)[1]  # -1 says nothing
    with Path("w/comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["seed_2"]) for row in rows] == pytest.approx([0.7, 1.1])
    assert (Path("w") / "comparison.png").stat().st_size > 1000
    toy(*words)
    assert log() == first
    assert "4 of 4 runs are finished already" in capfd.readouterr().out
    toy(*words[:3], 0, 1, 2, "--work-dir", "w")  # one seed more
    assert [line[1:3] for line in log() if line[0] == "start"][4:] == [
        ["base", "1"],
        ["better", "1"],
    ]


def test_killed_and_started_again_it_repeats_nothing_that_was_finished(toy):
    words = ["base.py", "better.py", "--seeds", "0", "1", "--work-dir", "w"]
    code = f"""
import sys
from pathlib import Path
from comparison import run
run.TOOLS = Path({str(TOY)!r})
import compare
sys.argv = ['compare.py', *{words!r}]
compare.main()
"""
    paths = os.pathsep.join([str(TOOL), os.environ.get("PYTHONPATH", "")])
    env = os.environ | dict(TOY_SECONDS="1", OMP_NUM_THREADS="1", PYTHONPATH=paths)
    process = subprocess.Popen([sys.executable, "-c", code], env=env)
    deadline = time.monotonic() + 200
    while not Path("log").exists() or sum(w[0] == "start" for w in log()) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = log()
    assert sum(line[0] == "tested" for line in killed) == 2
    assert sum(line[0] == "trained" for line in killed) == 2
    trainer = int(killed[-1][3])
    while is_running(trainer):  # nothing trains on behind our back
        assert time.monotonic() < deadline
        time.sleep(0.02)
    toy(*words)
    starts = [tuple(line[1:3]) for line in log() if line[0] == "start"]
    ends = [tuple(line[1:3]) for line in log() if line[0] == "tested"]
    order = [("base", "0"), ("better", "0"), ("base", "1"), ("better", "1")]
    assert ends == order
    assert starts == [*order[:3], *order[2:]]  # only the third was begun twice


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_was_trained_but_not_evaluated_is_not_trained_again(toy):
    words = ("base.py", "--work-dir", "w")
    toy(*words)
    record = Path("w/base/seed_0/run.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | dict(metrics=None)))
    toy(*words)
    assert [line[0] for line in log()] == ["start", "trained", "tested", "tested"]


def test_without_another_folder_it_works_in_work_dirs_compare(toy):
    toy("base.py")
    assert Path("work_dirs/compare/base/seed_0/run.json").exists()
    assert Path("work_dirs/compare/comparison.md").exists()


def test_runs_beside_each_other_share_the_cores(toy, monkeypatch):
    monkeypatch.setenv("TOY_PEERS", "2")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    toy("base.py", "same.py", "--at-once", 2, "--work-dir", "w")
    assert [line[3] for line in log() if line[0] == "trained"] == ["threads=2"] * 2


@pytest.mark.slow
def test_a_training_that_was_killed_is_resumed_through_the_launchers(
    monkeypatch, tmp_path, capfd
):
    """The toy's first process dies in its ninth step, in the second of two epochs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{HERE / 'launcher_toy'}:{ROOT}")
    monkeypatch.syspath_prepend(HERE / "launcher_toy")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "pids"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOCAL_RANK", "0")
    words = ["compare.py", str(HERE / "launcher_toy" / "config.py"), "--cfg-options"]
    words += ["model.die_at=9", "train_cfg.max_epochs=2"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        compare.main()
    assert "config, seed 0 ended with exit code -9" in capfd.readouterr().err
    compare.main()
    folder = tmp_path / "work_dirs" / "compare" / "config" / "seed_0"
    assert "resumed epoch: 1" in (folder / "output.log").read_text()
    assert "| config | 1 |" in capfd.readouterr().out


def test_bad_input_ends_in_one_sentence(toy, capfd):
    def said(*words):
        return sentence_of(toy, capfd, *words, "--work-dir", "w")

    assert said("no.py").startswith("the config no.py does not exist")
    assert said("base.py", "base.py").startswith("two configs have the same name")
    assert said("base.py", "--seeds", -1) == "argument --seeds: -1 is not 0 or more"
    assert said("base.py", "--seeds", 1, 1) == "--seeds [1, 1] repeats one"
    gpus = "argument --gpus/--processes: 0 is not 1 or more"
    assert said("base.py", "--gpus", 0) == said("base.py", "--processes", 0) == gpus
    assert said("base.py", "--at-once", 0) == "argument --at-once: 0 is not 1 or more"
    Path("bare.py").write_text("model = dict()")
    assert said("base.py", "bare.py").startswith("bare.py has no test_evaluator")
    assert "doesn't fit the config" in said("base.py", "--cfg-options", "value.a=1")
    said_of_a_word = "argument --cfg-options: a is not KEY=VALUE"
    assert said("base.py", "--cfg-options", "a") == said_of_a_word
    assert not Path("log").exists()
    wrong = said("base.py", "same.py", "--metrics", "AP")
    assert wrong == "--metrics AP is not one of toy/score, toy/large"
    assert [line[1] for line in log()] == ["base"] * 3  # found at the first one
    assert said("base.py", "--metrics", "AP") == wrong


def test_results_of_other_settings_are_not_taken_for_these(toy, capfd):
    toy("base.py", "--work-dir", "w")
    words = ("base.py", "--work-dir", "w")
    assert "with other settings" in sentence_of(toy, capfd, *words, "--processes", 2)
    options = ("--cfg-options", "model.depth=18")
    assert "with other settings" in sentence_of(toy, capfd, *words, *options)
    write_config("base", 0.6)
    assert "with other settings" in sentence_of(toy, capfd, *words)
    assert len(log()) == 3


def test_a_failing_launcher_stops_it_with_its_own_sentence(toy, capfd):
    write_config("wrong", 0, "fault = 2\n")
    write_config("broken", 0, "fault = 1\n")
    said = sentence_of(toy, capfd, "base.py", "wrong.py", "same.py", "--work-dir", "w")
    assert said == "wrong, seed 0: the toy has a fault"
    assert [line[1] for line in log()] == ["base", "base", "base", "wrong"]
    write_config("late", 0.4, "fault_of_seed = 1\n")
    words = ("base.py", "late.py", "--seeds", 0, 1, "--work-dir", "v")
    assert sentence_of(toy, capfd, *words).startswith("late, seed 1")
    assert [
        line.split(",")[:2]
        for line in Path("v/comparison.csv").read_text().splitlines()[1:]
    ] == [["base", "toy/score"], ["late", "toy/score"]]
    said = sentence_of(toy, capfd, "broken.py", "--work-dir", "w")
    assert said.startswith("broken, seed 0 ended with exit code 1: error: the toy has")


def test_two_comparisons_do_not_work_in_one_folder(toy, capfd):
    Path("w").mkdir()
    with Path("w/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = sentence_of(toy, capfd, "base.py", "--work-dir", "w")
    assert said == "another comparison is working in w"


def test_the_time_left_is_the_launchers_own_and_the_mean_of_what_is_finished(tmp_path):
    args = Namespace(work_dir=tmp_path, gpus=1)
    run, *others = (run_module.Run(Path("a.py"), i, args, "") for i in range(6))

    left = compare.time_left

    run.started = time.monotonic()
    run.folder.mkdir(parents=True)
    output = run.folder / "output.log"
    output.write_text("nothing yet")
    assert run.seconds_left() is None
    assert left([run, *others], [run], 1) == ""
    output.write_text("eta: 0:20:00  time\n" + "x" * 99 + "\neta: 1 day, 0:10:00 t\n")
    assert run.seconds_left() == 24 * 3600 + 600
    output.write_text("eta: 0:10:00  time\n")
    assert left([run], [run], 1) == "about 10 min left"
    assert left([run, *others[:3]], [run], 1) == "about 40 min left"
    for other, seconds in zip(others, (120.0, 240.0), strict=False):
        other.state |= dict(metrics=dict(ap=0.5), seconds=seconds)
    assert left([run, *others], [run], 1) == "about 19 min left"
    others[0].state["seconds"] = 360.0
    twins = [run, run_module.Run(Path("a.py"), 0, args, ""), *others[:2]]
    twins += [run_module.Run(Path("b.py"), i, args, "") for i in range(4)]
    assert left(twins, twins[:2], 2) == "about 20 min left"


def welch(a, b):
    """Welch's two-sided p by adding up Student's density."""
    va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    t = abs(np.mean(a) - np.mean(b)) / math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    x = np.linspace(0, t, 200_001)
    scale = math.gamma((df + 1) / 2) / math.gamma(df / 2) / math.sqrt(df * math.pi)
    density = scale * (1 + x**2 / df) ** (-(df + 1) / 2)
    return 1 - (density[1:] + density[:-1]) @ np.diff(x)


def table_of(*configs):
    """Sum up one metric, of a list of values a config."""
    runs = {str(i): [dict(ap=v) for v in c] for i, c in enumerate(configs)}
    return tabulate(runs, ["ap"])


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_statistics_equal_brute_force(n):
    rng = np.random.default_rng(n)
    first, second = rng.normal(0.51, 0.03, n), rng.normal(0.5, 0.01, n)
    table = table_of(first, second)
    for i, values in enumerate((first, second)):
        mean = sum(values) / n
        std = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
        assert (table.mean[i, 0], table.std[i, 0]) == pytest.approx((mean, std))
        assert table.error[i, 0] == pytest.approx(std / math.sqrt(n))
    assert math.isnan(table.p[0, 0])
    assert table.p[1, 0] == pytest.approx(welch(first, second), abs=1e-8)


def test_what_has_no_spread_has_no_test():
    assert math.isnan(table_of([0.1, 0.1, 0.1], [0.5, 0.5, 0.5]).p[1, 0])
    alone = table_of([0.5], [0.6])
    assert math.isnan(alone.p[1, 0])
    assert math.isnan(alone.std[1, 0])
    assert table_of([0.1, 0.11, 0.12], [0.5, 0.5, 0.5]).p[1, 0] < 1e-3


def test_only_metrics_of_all_runs_that_say_something_are_compared():
    a = [dict(ap=0.5, large=-1.0, small=-1.0), dict(ap=0.4, large=-1.0, small=0.0)]
    b = [dict(ap=0.5, large=-1.0, small=0.1, more=1.0)] * 2
    assert tabulate(dict(a=a, b=b)).metrics == ["ap", "small"]


def test_the_reports_hold_every_number(tmp_path):
    results = dict(
        base=[dict(ap=0.1, ar=0.5), dict(ap=0.2, ar=0.5)],
        more=[dict(ap=0.9, ar=0.5), dict(ap=0.7, ar=0.5)],
    )
    text = write(tabulate(results, ["ap", "ar"]), [4, 7], tmp_path)
    assert (tmp_path / "comparison.md").read_text() == text
    head, _, first, second, *_ = text.splitlines()
    assert head == "| config | seeds | ap | ar |"
    assert first == "| base | 2 | 0.150 ± 0.071 (0.050) | 0.500 ± 0.000 (0.000) |"
    assert second.startswith("| more | 2 | 0.800 ± 0.141 (0.100), p = 0.0")
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][-2:] == ["seed_4", "seed_7"]
    assert [row[-2:] for row in rows[1:]] == [
        ["0.1", "0.2"],
        ["0.5", "0.5"],
        ["0.9", "0.7"],
        ["0.5", "0.5"],
    ]
    assert rows[1][5] == ""  # the first has no p
    assert float(rows[3][5]) == pytest.approx(welch([0.9, 0.7], [0.1, 0.2]))
    image = plt.imread(tmp_path / "comparison.png")
    assert (image[..., :3].min(2) < 0.5).mean() > 0.003  # dots, lines and words
