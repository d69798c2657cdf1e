"""tools/checkpoint/convert.py: published weights to a file in our names."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from nlse_mm.checkpoint.conversion.published import read_published

ROOT = Path(__file__).parents[2]
LEGACY = {
    "layer0.conv1.weight": torch.rand(2, 3),
    "layer1.0.conv3.weight": torch.rand(1),
    "layer1.0.se_module.fc2.bias": torch.rand(2),
    "last_linear.bias": torch.rand(1),
}


@pytest.fixture
def convert(monkeypatch, capsys):
    """Run the tool; its exit code and what it wrote to stdout and stderr."""

    def run(*arguments):
        script = str(ROOT / "tools" / "checkpoint" / "convert.py")
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    torch.save(LEGACY, path)
    return path


def test_it_writes_our_names_and_notes_the_family(convert, source, tmp_path):
    target = tmp_path / "target.pth"
    code, out, err = convert(source, target)
    assert (code, err) == (0, "")
    assert "3 keys" in out
    assert "(timm-legacy); left out: last_linear.bias" in out
    published = read_published(str(target))
    assert published.family == "timm-legacy"
    theirs = ["layer0.conv1.weight", "layer1.0.conv3.weight"]
    theirs.append("layer1.0.se_module.fc2.bias")
    ours = ["conv1.weight", "layer1.0.conv3.weight"]
    ours.append("layer1.0.se_layer.conv2.conv.bias")
    assert list(published.weights) == ours
    for mine, their in zip(ours, theirs, strict=True):
        assert torch.equal(published.weights[mine], LEGACY[their])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.bin", "target.pth"]


def test_mistakes_end_in_one_sentence_and_write_nothing(convert, source, tmp_path):
    target = tmp_path / "target.pth"
    cases = [
        ([source, source], "source.bin exists already"),
        ([source, tmp_path / "no" / "a.pth"], "no of DST does not exist"),
        ([source, target, "--from", "timm"], "holds no weights of timm"),
    ]
    for arguments, words in cases:
        code, _, err = convert(*arguments)
        assert code == 2
        (line,) = err.splitlines()
        assert line.startswith("error: ")
        assert words in line
    assert [p.name for p in tmp_path.iterdir()] == ["source.bin"]
