"""A file that holds what its model computes; a wrong one, or a wrong command, ends."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pt2_file
import pytest
import torch
import verification
from this_pytorch import needs_open_sizes

from nlse_mm.ops import exported_softmax, older_torch
from nlse_mm.registry import MODELS

TOOL = "deploy/export.py"
TINY = Path(__file__).parents[2] / "configs" / "tiny"
SEGMENTOR = TINY / "fcn_r18_nl.py"
SMALL = ("--shape", 64, 96)


@pytest.fixture
def export(launch, capsys):
    """Run the tool in an empty folder, and return its lines by their first word."""

    def run(*arguments):
        launch(TOOL, *arguments)
        return [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.fixture
def no_peaks(monkeypatch):
    """Leave out the processes that measure memory."""
    monkeypatch.setattr(verification, "peak_mib", lambda *_: (0.0, 0.0))


@needs_open_sizes
@pytest.mark.parametrize(
    ("name", "operators"),
    [("onnx", "Conv 25.* Softmax 1"), ("pt2", "aten.conv2d 25.* aten.cat 1")],
)
def test_a_segmentor_with_open_sizes_is_verified_and_measured(name, operators, export):
    pytest.importorskip("mmseg")
    if name == "onnx":
        pytest.importorskip("onnxruntime")
    lines = export(SEGMENTOR, "--format", name, *SMALL, "--dynamic", "--verify")
    said = dict(lines)
    assert said["input"].startswith("(batch, 3, height, width): RGB, (value - [123.675")
    assert said["output"] == "(batch, 7, height, width)"
    assert re.search(operators, said["operators"])
    sizes = [text.split(" at ")[1] for word, text in lines if word == "difference"]
    assert sizes == ["1 x 3 x 64 x 96", "3 x 3 x 32 x 32"]
    for which in ("model", "file"):
        ms, peak, above = map(int, re.findall(r"\d+(?= ms| MiB)", said[which]))
        assert ms > 0
        assert 0 <= above < peak
        assert 100 < peak < 2000  # PyTorch alone has more than the former
    assert Path(f"fcn_r18_nl.{name}").stat().st_size > 3e6


@needs_open_sizes
def test_a_file_of_another_value_ends_with_exit_code_1(
    launch, monkeypatch, capsys, no_peaks
):
    pytest.importorskip("mmseg")
    record = pt2_file.record

    def record_another(part, *rest):
        other = copy.deepcopy(part)
        other.segmentor.decode_head.conv_seg.bias[3] += 1e-3
        return record(other, *rest)

    monkeypatch.setattr(pt2_file, "record", record_another)
    command = (TOOL, SEGMENTOR, "--format", "pt2", *SMALL, "--verify")
    with pytest.raises(SystemExit) as ended:
        launch(*command)
    said = "fcn_r18_nl.pt2 differs from the model by more than --tolerance 1e-05"
    assert said in ended.value.code
    launch(*command, "--tolerance", "1")


def test_the_difference_is_that_of_the_output_that_differs_most():
    def run(*wrong):
        images = torch.tensor([[4.0, -8.0]])
        return lambda _: [images + 4, *(images + by for by in wrong)]

    def difference(*wrong):
        return verification.difference(run(*wrong), run(0, 0), (1, 3, 2, 2))

    assert difference(0, 0) == 0
    assert difference(0, 2) == difference(2, 1) == 2 / 8
    assert not difference(float("nan"), 0) <= 1e-5
    assert difference(0, torch.zeros(2, 2)) == float("inf")


def test_an_output_of_zeros_differs_from_nothing_but_other_values():
    def difference(value):
        outputs = [torch.full((1, 2), value)], [torch.zeros(1, 2)]
        return verification.difference(
            *(lambda _, o=o: o for o in outputs), (1, 3, 2, 2)
        )

    assert difference(0.0) == 0
    assert difference(1e-6) > 1
    assert not difference(float("nan")) <= 1e-5


@needs_open_sizes
def test_a_detectors_file_holds_backbone_and_neck_and_runs_without_their_code(export):
    pytest.importorskip("mmdet")
    config = TINY / "mask_rcnn_r18_nl.py"
    lines = dict(export(config, "--format", "pt2", *SMALL, "--out", "new/maps.pt2"))
    assert lines["output"].startswith("(1, 64, 16, 24), (1, 64, 8, 12), (1, 64, 4, 6)")
    keys = torch.export.load("new/maps.pt2").state_dict
    assert {key.split(".")[0] for key in keys} == {"backbone", "neck"}
    alone = """
import sys
import torch
sys.modules.update(dict.fromkeys(("nlse_mm", "mmdet", "mmcv", "mmengine")))
maps = torch.export.load("new/maps.pt2").module()(torch.rand(1, 3, 64, 96))
print([len(each[0]) for each in maps])
"""
    done = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True)
    assert done.stdout == "[64, 64, 64, 64]\n", done.stderr


@needs_open_sizes
def test_the_weights_are_the_checkpoints(export, no_peaks):
    pytest.importorskip("mmseg")
    export(SEGMENTOR, "--format", "pt2", *SMALL)
    random = torch.export.load("fcn_r18_nl.pt2").state_dict
    weights = {key.removeprefix("segmentor."): 0.5 * v for key, v in random.items()}
    torch.save(dict(state_dict=weights), "half.pth")
    export(SEGMENTOR, "half.pth", "--format", "pt2", *SMALL, "--verify")
    half = torch.export.load("fcn_r18_nl.pt2").state_dict
    assert all(torch.equal(half[key], 0.5 * v) for key, v in random.items())


@MODELS.register_module()
class ValueBranch(torch.nn.Module):
    """A plugin whose graph depends on its input's values."""

    def __init__(self, in_channels):
        super().__init__()

    def forward(self, x):
        return x if x.sum() > 0 else -x


@needs_open_sizes
def test_a_model_that_cannot_be_exported_says_why(sentence_of, tmp_path):
    pytest.importorskip("mmseg")
    config = tmp_path / "branch.py"
    entry = "dict(cfg=dict(type='nlse_mm.ValueBranch'), position='after_block')"
    config.write_text(
        f"_base_ = '{SEGMENTOR}'\nmodel = dict(backbone=dict(plugins=[{entry}]))\n"
    )
    said = sentence_of(TOOL, config, "--format", "pt2", *SMALL)
    assert "branch.py can't be exported with --format pt2 at 1 x 3 x 64 x 96: " in said
    assert "data-dependent" in said


@needs_open_sizes
def test_a_file_that_cannot_be_written_is_not_left_half(sentence_of, monkeypatch):
    pytest.importorskip("mmseg")

    def fill_the_disk(program, path):
        path.write_bytes(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pt2_file, "save", fill_the_disk)
    words = ("--format", "pt2", *SMALL, "--out", "new/model.pt2")
    said = sentence_of(TOOL, SEGMENTOR, *words)
    assert said.startswith("error: new/model.pt2 can't be written: OSError: [Errno 28]")
    assert not list(Path("new").iterdir())
    Path("new/model.pt2").write_text("an earlier one")
    sentence_of(TOOL, SEGMENTOR, *words)
    assert [file.read_text() for file in Path("new").iterdir()] == ["an earlier one"]


@needs_open_sizes
def test_what_a_block_warns_of_is_told(launch, capsys, monkeypatch):
    pytest.importorskip("mmseg")
    monkeypatch.setattr(exported_softmax, "may_be_linear", lambda: False)
    launch(TOOL, SEGMENTOR, "--format", "pt2", *SMALL)
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: torch.export records softmax attention as its")
    assert "the map of 1 x 96 x 24 weights" in warning


@needs_open_sizes
@pytest.mark.parametrize(
    ("missing", "words", "sentence"),
    [
        (["onnxscript"], [], "--format onnx needs onnxscript, not installed here: "),
        (["onnx"], [], "pip install onnx"),
        (["onnxruntime"], ["--verify"], "--verify needs onnxruntime, not installed"),
    ],
)
def test_a_missing_package_is_named_with_its_command(
    missing, words, sentence, sentence_of, monkeypatch
):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    said = sentence_of(TOOL, SEGMENTOR, "--format", "onnx", *words)
    assert sentence in said
    assert f"pip install {' '.join(missing)}" in said


def test_a_pytorch_that_is_too_old_is_refused(sentence_of, monkeypatch):
    monkeypatch.setattr(older_torch, "TELLS_EXPORTS", False)
    assert "needs PyTorch 2.7 or newer" in sentence_of(TOOL, SEGMENTOR)


@needs_open_sizes
def test_what_is_no_detector_and_no_segmentor_is_refused(sentence_of, tmp_path):
    pytest.importorskip("mmdet")
    config = tmp_path / "backbone.py"
    config.write_text("default_scope = 'mmdet'\nmodel = dict(type='ResNet', depth=18)")
    said = sentence_of(TOOL, config)
    assert "is type='ResNet', neither a detector of MMDetection nor a seg" in said


@needs_open_sizes
def test_a_detector_without_a_backbone_names_its_parts_that_have_one(
    sentence_of, tmp_path
):
    pytest.importorskip("mmdet")
    config = tmp_path / "semi.py"
    config.write_text(
        f"_base_ = '{TINY / 'mask_rcnn_r18_nl.py'}'\n"
        "model = dict(_delete_=True, type='SoftTeacher', "
        "detector={{_base_.model}}, semi_train_cfg=dict(freeze_teacher=True))\n"
    )
    said = sentence_of(TOOL, config)
    assert "semi.py is type='SoftTeacher', which has no backbone of its own, " in said
    assert "only in its student and teacher: give the config of one of them" in said
    assert "weights without the prefix student. or teacher." in said


@needs_open_sizes
def test_a_segmentor_without_encode_decode_is_refused(sentence_of, monkeypatch):
    models = pytest.importorskip("mmseg.models")
    monkeypatch.setattr(models.EncoderDecoder, "encode_decode", None)
    said = sentence_of(TOOL, SEGMENTOR)
    assert "is type='EncoderDecoder', which has no encode_decode of its own" in said


@needs_open_sizes
def test_a_config_without_a_default_scope_is_known_by_what_it_builds(export, tmp_path):
    pytest.importorskip("mmdet")
    config = tmp_path / "scoped.py"
    config.write_text(
        f"_base_ = '{TINY / 'mask_rcnn_r18_nl.py'}'\n"
        "default_scope = None\n"
        "model = dict(type='mmdet.MaskRCNN', "
        "data_preprocessor=dict(type='mmdet.DetDataPreprocessor'))\n"
    )
    lines = dict(export(config, "--format", "pt2", *SMALL))
    assert lines["output"].startswith("(1, 64, 16, 24), (1, 64, 8, 12), (1, 64, 4, 6)")


@needs_open_sizes
def test_another_models_checkpoint_is_refused(sentence_of, tmp_path):
    pytest.importorskip("mmseg")
    other = tmp_path / "other.pth"
    torch.save(dict(state_dict={"fc.weight": torch.rand(2, 2)}), other)
    assert "other.pth" in sentence_of(TOOL, SEGMENTOR, other)
    assert "absent.pth does not exist" in sentence_of(TOOL, SEGMENTOR, "absent.pth")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format", "tflite"], "argument --format: invalid choice: 'tflite'"),
        (["--shape", "-800", "1344"], "argument --shape: -800 is not 1 or more"),
        (["--shape", "0", "8"], "argument --shape: 0 is not 1 or more"),
        (["--tolerance", "nan"], "argument --tolerance: nan is not 0 or more"),
        (["--tolerance=-1"], "argument --tolerance: -1 is not 0 or more"),
        (["--tolerance", "x"], "argument --tolerance: invalid tolerance value: 'x'"),
        (["--out", "."], "argument --output/--out: . is a folder, not a file to write"),
    ],
)
def test_a_wrong_flag_ends_in_a_sentence(words, sentence, launch, capsys):
    with pytest.raises(SystemExit) as ended:
        launch(TOOL, SEGMENTOR, *words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
