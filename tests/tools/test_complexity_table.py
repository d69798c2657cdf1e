"""The table of costs: what a block adds to a detector and to a segmentation model."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ROOT / "configs" / "tiny"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool here, where the toolboxes are imported already."""
    path = ROOT / "tools" / "analysis" / "complexity.py"
    spec = importlib.util.spec_from_file_location("complexity_tool", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        tool.main()
        return capsys.readouterr().out

    return call


def rows(markdown):
    lines = [line.strip("|").split("|") for line in markdown.splitlines()]
    return [[cell.strip() for cell in line] for line in lines]


def test_a_row_is_a_config_and_what_its_entries_add(run):
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    configs = [TINY / f"{n}.py" for n in ("mask_rcnn_r18_se_nl", "fcn_r18_nl")]
    table = rows(run(*configs, "--shape", 256, 320, "--markdown"))[2:]
    assert [row[0] for row in table] == [
        "mask_rcnn_r18_se_nl",
        "SE standard",
        "backbone NonLocal2d after_block res4[-2]",
        "fcn_r18_nl",
        "backbone NonLocal2d after_block res4[-2]",
    ]
    # 128 channels: three projections to 64 with biases, the last one, and its BN.
    block = 3 * (128 * 64 + 64) + 64 * 128 + 2 * 128
    # Two layers for each of the widths, from C to D and back, both with biases.
    widths = ((32, 8), (64, 8), (128, 8), (256, 16))
    gates = sum(2 * (2 * c * d + d + c) for c, d in widths)
    added = [f"{n / 1e6:+.2f}" for n in (block + gates, gates, block, block, block)]
    assert [row[4] for row in table] == added
    # 16 x 20 positions that look at 80: four projections and two products.
    macs = 320 * (4 * 128 * 64 + 80 * 2 * 64)
    assert table[2][5] == f"{macs / 1e9:+.2f}" == "+0.01"
    assert float(table[0][2]) > 1


def test_senet_154_is_compared_to_the_same_without_its_se_layers(run):
    pytest.importorskip("mmdet")
    config = ROOT / "configs" / "mask_rcnn_senet154.py"
    whole, gates = rows(run(config, "--shape", 64, 96, "--markdown"))[2:]
    assert gates[0] == "SE standard"
    # Two layers for each of the widths, from C to D and back, both with biases.
    widths = ((3, 256, 16), (8, 512, 32), (36, 1024, 64), (3, 2048, 128))
    added = sum(n * (2 * c * d + d + c) for n, c, d in widths)
    assert whole[4] == gates[4] == f"{added / 1e6:+.2f}" == "+6.63"
    assert gates[5] == "+0.01"  # each weight once an image


def test_settings_of_the_config_can_be_replaced(run):
    pytest.importorskip("mmdet")
    option = "model.backbone.se_position=pre"
    config = TINY / "mask_rcnn_r18_se_nl.py"
    table = run(config, "--shape", 64, 96, "--markdown", "--cfg-options", option)
    assert rows(table)[3][0] == "SE pre"


def test_a_config_without_plugins_adds_nothing(run):
    pytest.importorskip("mmdet")
    config = TINY / "mask_rcnn_r18.py"
    (row,) = rows(run(config, "--shape", 64, 96, "--markdown"))[2:]
    assert row[4:] == ["+0.00", "+0.00", "+0.0"]
    assert "One image of 64 x 96" in run(config, "--shape", 64, 96)


def test_a_missing_config_ends_in_a_sentence(run, capsys):
    with pytest.raises(SystemExit) as exit_:
        run("nothing.py")
    assert exit_.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: the config nothing.py does not exist")


UNCOUNTABLE = {
    "detr.py": (
        "_base_ = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'",
        "the config detr.py can't be counted: DETR can't be counted on an input of "
        "(1, 3, 64, 96): it needs data samples",
    ),
    "cascade.py": (
        "_base_ = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'",
        "the config cascade.py can't be counted: CascadeRCNN can't be counted on an "
        "input of (1, 3, 64, 96): it needs data samples",
    ),
    "unknown.py": (
        "default_scope = 'mmdet'\nmodel = dict(type='NoSuchDetector')",
        "the config unknown.py can't be counted: NoSuchDetector is not in the "
        "mmdet::model registry",
    ),
    "entry.py": (
        "default_scope = 'mmdet'\nmodel = dict(type='nlse_mm.ResNet', depth=18, "
        "plugins=[dict(position='after_block')])",
        "the config entry.py can't be counted: plugins[0]: the key 'cfg' is missing",
    ),
    "plain.py": (
        "default_scope = 'mmdet'\nmodel = dict(type='nlse_mm.ResNet', depth=18)",
        "the config plain.py can't be counted: ResNet can't be counted on an input of "
        "(1, 3, 64, 96): its forward pass fails (TypeError: ",
    ),
    "scope.py": (
        "default_scope = 'mmelse'\nmodel = dict(type='Detector')",
        "scope.py has default_scope='mmelse', and mmelse is not installed",
    ),
    "syntax.py": (
        "model = dict(",
        "the config syntax.py can't be read: SyntaxError: ",
    ),
    "none.py": ("data = dict()", "the config none.py has no model"),
}


def test_each_config_that_cannot_be_counted_is_named_beside_those_that_can(
    run, capsys, monkeypatch, tmp_path
):
    pytest.importorskip("mmdet")
    monkeypatch.chdir(tmp_path)
    for name, (text, _) in UNCOUNTABLE.items():
        (tmp_path / name).write_text(text)
    config = TINY / "mask_rcnn_r18.py"
    with pytest.raises(SystemExit) as exit_:
        run(*UNCOUNTABLE, config, "--shape", 64, 96, "--markdown")
    assert exit_.value.code == 2
    printed = capsys.readouterr()
    assert [row[0] for row in rows(printed.out)[2:]] == ["mask_rcnn_r18"]
    said = [x for x in printed.err.splitlines() if x.startswith("error: ")]
    assert len(said) == len(UNCOUNTABLE)
    for line, (_, words) in zip(said, UNCOUNTABLE.values(), strict=True):
        assert line.startswith(f"error: {words}")


def test_the_documented_rows_are_what_it_prints(run):
    pytest.importorskip("mmdet")
    names = ["mask_rcnn_r50_nl", "mask_rcnn_r50_se"]
    configs = [ROOT / "configs" / f"{name}.py" for name in names]
    printed = {
        row[0]: row for row in rows(run(*configs, "--shape", 800, 1344, "--markdown"))
    }
    documented = (ROOT / "docs" / "choosing.md").read_text()
    for name in names:
        assert f"| {name} | {' | '.join(printed[name][4:])} |" in documented


def test_a_recognizer_is_counted_on_a_clip(run, capsys):
    pytest.importorskip("mmaction")
    clip = TINY / "far_cue_c2d_r18_nl.py"
    whole, entry = rows(run(clip, "--frames", 32, "--shape", 64, 64, "--markdown"))[2:]
    assert entry[0] == "backbone NonLocal3d after_block res3[-2]"
    assert whole[1] == "0.05"
    # Of 32 x 8 x 8 positions of 32 channels: four projections, to 16 channels and back,
    # and two products of all pairs.
    positions = 32 * 8 * 8
    macs = positions * (4 * 32 * 16 + positions * 2 * 16)
    assert whole[5] == entry[5] == f"{macs / 1e9:+.2f}" == "+0.14"
    assert "One clip of 32 x 224 x 224" in run(clip)
    image = TINY / "mask_rcnn_r18.py"
    with pytest.raises(SystemExit):
        run(image, "--frames", 16)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"error: --frames 16: the config {image} takes images"


def test_a_classifier_that_is_given_no_size_is_counted_on_224_x_224(run, in_mmpretrain):
    config = TINY / "resnet18_digits.py"
    assert "One image of 224 x 224" in run(config)
    (row,) = rows(run(config, "--markdown"))[2:]
    assert row == rows(run(config, "--shape", 224, 224, "--markdown"))[2]
    assert row[2] != rows(run(config, "--shape", 112, 112, "--markdown"))[2][2]
