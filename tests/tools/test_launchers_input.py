"""A sentence_of on the command line or in a config ends in one sentence."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("mmdet")
TOY = Path(__file__).parent / "launcher_toy"
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")

PLUGGED = """
_base_ = 'TOY/config.py'
default_scope = 'mmdet'
model = dict(
    _delete_=True,
    type='nlse_mm.ResNet',
    depth=18,
    plugins=[
        dict(
            cfg=dict(type='nlse_mm.NonLocal2d'),
            stages=(False, False, True, False),
            blocks=(-2,),
            position='after_block')])
"""


@pytest.fixture(autouse=True)
def _here(launch, monkeypatch):
    for folder in (TOY, Path.cwd()):
        monkeypatch.syspath_prepend(str(folder))
    text = PLUGGED.replace("TOY", str(TOY))
    Path("plugged.py").write_text(text)
    Path("broken.py").write_text("model = dict(\n")
    Path("raises.py").write_text("model = nothing_of_this_name\n")
    Path("elsewhere.py").write_text("default_scope = 'mmelse'\nmodel = dict()\n")
    Path("not_one.pth").write_text("hello")
    torch.save({"other.weight": torch.ones(2)}, "other.pth")
    Path("coco.py").write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'\n"
        "data_root = 'no/coco/'\n"
        "train_dataloader = dict(dataset=dict(data_root=data_root))\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.py"], "the config none.py does not exist"),
        (["broken.py"], "the config broken.py can't be read: SyntaxError"),
        (["raises.py"], "can't be read: NameError: name 'nothing_of_this_name'"),
        (["elsewhere.py"], "default_scope='mmelse', and mmelse is not installed"),
        (["coco.py"], "ln -s WHERE-IT-IS no/coco, or set"),
        ([TOY / "config.py", "--resume", "none.pth"], "--resume: none.pth does not"),
        ([TOY / "config.py", "--resume", "not_one.pth"], "is not a checkpoint"),
        ([TOY / "config.py", "--resume", "other.pth"], "can't be resumed: it holds"),
        ([TOY / "config.py", "--auto-scale-lr"], "auto_scale_lr.base_batch_size"),
        ([TOY / "config.py", "--launcher", "slurm"], "needs SLURM_PROCID"),
        (
            [TOY / "config.py", "--cfg-options", "train_cfg.max_epochs.first=1"],
            "--cfg-options train_cfg.max_epochs.first=1 doesn't fit",
        ),
        (
            [TOY / "config.py", "--cfg-options", "load_from=other.pth"],
            "0 of the model's 8 keys match",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value[-1])[-20:],
)
def test_train_refuses(sentence_of, arguments, words):
    assert words in sentence_of("train.py", *arguments, "--work-dir", "work")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("model.type=brokenbox.Model", "brokenbox.Model is not to be had: brokenbox"),
        (
            "train_dataloader.dataset.type=brokenbox.Images",
            "brokenbox.Images is not to",
        ),
        ("val_evaluator.type=brokenbox.Metric", "brokenbox.Metric is not to be had: "),
        ("default_scope=brokenbox", "has default_scope='brokenbox', and brokenbox"),
        ("default_scope=brokenmodels", "and the MODELS of brokenmodels"),
        ("default_scope=brokenimages", "and the DATASETS of brokenimages"),
    ],
)
def test_train_tells_the_import_error_of_a_broken_toolbox(sentence_of, option, words):
    for kind in ("models", "images"):
        registry = dict(models="MODELS", images="DATASETS")[kind]
        folder = Path(f"broken{kind}")
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "parts.py").write_text("import no_such_dependency")
        (folder / "registry.py").write_text(
            f"from mmengine.registry import {registry} as ROOT, Registry\n"
            f"OURS = Registry(ROOT.name, parent=ROOT, scope='broken{kind}', "
            f"locations=['broken{kind}.parts'])\n"
        )
    Path("brokenbox").mkdir()
    Path("brokenbox/__init__.py").write_text("import no_such_dependency")
    said = sentence_of(
        "train.py", TOY / "config.py", "--work-dir", "work", "--cfg-options", option
    )
    assert words in said
    assert said.endswith("ModuleNotFoundError: No module named 'no_such_dependency'")


@without_gpu
def test_train_refuses_amp_without_a_gpu(sentence_of):
    words = "--amp needs a GPU, and PyTorch sees none here"
    assert words in sentence_of("train.py", TOY / "config.py", "--amp")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("position", "after_blok", "position='after_blok' is not one of ('before"),
        ("blocks", "(2,)", "holds 2, but res4 has 2 blocks, -2 to 1"),
        ("stages", "(False,True)", "stages=(False, True) has 2 entries"),
        ("cfg.type", "nlse_mm.NonLocal2", "nlse_mm.NonLocal2"),
        ("cfg.sub_sampel", "True", "sub_sampel"),
    ],
)
def test_train_refuses_a_plugin_line(sentence_of, key, value, words):
    option = f"model.plugins.0.{key}={value}"
    work = ("--work-dir", "work", "--cfg-options")
    assert words in sentence_of("train.py", "plugged.py", *work, option)


@pytest.mark.parametrize(
    ("checkpoint", "options", "words"),
    [
        ("none.pth", [], "the checkpoint none.pth does not exist"),
        ("not_one.pth", [], "not_one.pth is not a checkpoint"),
        ("other.pth", [], "0 of the model's 8 keys match"),
        ("other.pth", ["--out", "results"], "results is not a .pkl or .pickle file"),
        ("other.pth", ["--show-dir", "x"], "need default_hooks.visualization"),
        ("other.pth", ["--tta"], "--tta needs tta_model"),
    ],
)
def test_test_refuses(sentence_of, checkpoint, options, words):
    config = TOY / "config.py"
    said = sentence_of("test.py", config, checkpoint, "--work-dir", "work", *options)
    assert words in said


def test_a_fault_of_the_program_keeps_its_traceback(launch):
    option = "model.plugins.0.cfg.type=nlse_mm.Faulty"
    work = ("--work-dir", "work", "--cfg-options", option)
    with pytest.raises(KeyError, match="a fault of the program"):
        launch("train.py", "plugged.py", *work)
