"""The report of a GPU: all its sections run, and one that fails loses no other."""

import sys

import gpu_report
import pytest
import torch
from gpu_sections import SECTIONS, Section


@pytest.fixture
def report(monkeypatch, tmp_path):
    """Write a report, and return its exit code and its text."""

    def call(*words):
        output = tmp_path / "new" / "gpu.md"
        monkeypatch.setattr(
            sys, "argv", ["gpu_report.py", "--output", str(output), *words]
        )
        try:
            gpu_report.main()
        except SystemExit as ended:
            return ended.code, output.read_text() if output.exists() else ""
        return 0, output.read_text()

    return call


def test_without_a_gpu_it_ends_in_a_sentence(report, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert report() == (2, "")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is no GPU here that PyTorch sees")


def test_a_trial_runs_a_benchmark_and_writes_its_table(report):
    code, text = report("--trial", "--only", "attention")
    assert code == 0
    title, command, versions, heading, *_ = text.split("\n\n")
    assert title == "# On a GPU: trial"
    assert "tools/gpu_report.sh" in command
    assert f"torch {torch.__version__}" in versions
    assert heading == f"## {SECTIONS['attention'].title}"
    rows = [line for line in text.splitlines() if line.startswith("| 12 | ")]
    assert [row.split(" | ")[1] for row in rows] == ["fp32", "fp32", "bf16", "bf16"]
    # PyTorch's memory-efficient kernel is for GPUs.
    assert all("refuses" in row for row in rows)


def test_what_fails_takes_too_long_or_is_missing_loses_nothing_else(
    report, monkeypatch
):
    def one(code, minutes=1.0, needs=None):
        return Section(f"About {code}", f"-c {code}", "", minutes, needs)

    sections = dict(
        bad=one("print('why');exit(3)"),
        slow=one("print('begun',flush=True);__import__('time').sleep(600)", 0.01),
        missing=one("exit(4)", needs="a toolbox"),
        good=one("print('fine')"),
    )
    monkeypatch.setattr(gpu_report, "SECTIONS", sections)
    monkeypatch.setattr(gpu_report, "why_missing", lambda *_: "it isn't here")
    code, text = report("--trial")
    assert code == 1
    _, bad, slow, missing, good = text.split("\n## ")
    assert "**Failed** (code 3)" in bad
    assert "why" in bad
    assert "**Failed** (stopped after 0.1 minutes)" in slow
    assert "Left out: it isn't here" in missing
    assert "```text\nfine\n```" in good


def test_it_is_done_in_20_minutes():
    assert sum(section.minutes for section in SECTIONS.values()) <= 20


def test_what_a_toolbox_lacks_is_a_sentence(monkeypatch):
    toolbox = SECTIONS["se"].needs
    monkeypatch.setitem(sys.modules, toolbox.scope, None)
    why = gpu_report.why_missing(toolbox, trial=True)
    assert why.startswith(f"it needs {toolbox.title} with MMCV's operators compiled")
    assert "ModuleNotFoundError" in why
