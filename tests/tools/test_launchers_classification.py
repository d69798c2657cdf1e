"""The launchers and tools with MMPretrain: a small SE network, published weights."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from nlse_mm.config_file import read_config

ROOT = Path(__file__).parents[2]
SMALL = """
_base_ = {base!r}
backbone = dict(base_channels=8, stem_channels=8)
model = dict(backbone=backbone, head=dict(in_channels=256))
"""
HEAD = ("head.fc.weight", "head.fc.bias")
LOADERS = [
    f"{part}_dataloader.{key}"
    for part in ("train", "val", "test")
    for key in ("num_workers=0", "persistent_workers=False", "batch_size=2")
]

pytestmark = pytest.mark.usefixtures("in_mmpretrain")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A config with the network an eighth as wide; images of two made classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        lines = []
        for number, name in enumerate(("cat", "dog")):
            folder = Path(f"data/imagenet/{part}/{name}")
            folder.mkdir(parents=True)
            image = rng.integers(0, 255, (60, 70, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "0.png"), image)
            lines.append(f"{name}/0.png {number}\n")
        Path("data/imagenet/meta").mkdir(exist_ok=True)
        Path(f"data/imagenet/meta/{part}.txt").write_text("".join(lines))

    def write(name):
        base = str(ROOT / "configs" / f"{name}.py")
        Path("small.py").write_text(SMALL.format(base=base))
        return Path("small.py")

    return write


def model_of(config):
    cfg = read_config(config)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build({**cfg.model, "data_preprocessor": cfg.data_preprocessor})


def published(model, family):
    """The weights of a whole classifier as another library names them."""
    excitation, layer0 = {
        "timm": ("se.fc", ""),
        "timm-legacy": ("se_module.fc", "layer0."),
    }[family]
    classifier = "last_linear" if layer0 else "fc"
    found = {}
    for key, value in model.state_dict().items():
        name = key.removeprefix("backbone.").replace("head.fc", classifier)
        for i in "12":
            name = name.replace(f"se_layer.conv{i}.conv", f"{excitation}{i}")
        is_stem = name.startswith(("conv1.", "bn1."))
        found[layer0 + name if is_stem else name] = value
    return dict(state_dict=found)


def saved(model, family=None):
    """A file of weights, by their own keys or a family's."""
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.3, 0.5)
    content = model.state_dict() if family is None else published(model, family)
    torch.save(content, "weights.pth")
    return "weights.pth"


def accuracy(folder):
    (path,) = Path(folder).rglob("*.json")
    return json.loads(path.read_text())["accuracy/top1"]


@pytest.mark.parametrize(
    ("name", "family"),
    [("se-resnet50_imagenet", None), ("legacy-se-resnet50_imagenet", "timm-legacy")],
)
def test_published_weights_are_evaluated_by_one_command(launch, small, name, family):
    config = small(name)
    model = model_of(config)
    path = saved(model, family)
    options = ["--work-dir", "work", "--out", "out.pkl"]
    launch("test.py", config, path, *options, "--cfg-options", *LOADERS)
    assert accuracy("work") in (0.0, 50.0, 100.0)
    assert Path("out.pkl").stat().st_size > 0


@pytest.mark.parametrize(
    ("name", "family", "sentence"),
    [
        ("se-resnet50_imagenet", "timm-legacy", "was trained with pool_ceil_mode=True"),
        (
            "se-resnet50_imagenet",
            "timm",
            "weights.pth (timm) wants images that were resized with "
            "interpolation='bicubic', and test_dataloader.dataset.pipeline[1] of type "
            "'ResizeEdge' has 'bilinear'",
        ),
    ],
)
def test_weights_of_another_familys_images_are_refused(
    sentence_of, small, name, family, sentence
):
    config = small(name)
    path = saved(model_of(config), family)
    said = sentence_of("test.py", config, path, "--cfg-options", *LOADERS)
    assert sentence in said


@pytest.mark.parametrize("kind", ["ImageNet", "CustomDataset"])
def test_an_image_folder_without_classes_is_refused(sentence_of, small, kind):
    config = small("se-resnet50_imagenet")
    path = saved(model_of(config))
    images = f"type={kind!r}, data_prefix='data/imagenet/val/cat', pipeline=[]"
    loader = f"test_dataloader = dict(dataset=dict(_delete_=True, {images}))\n"
    config.write_text(config.read_text() + loader)
    said = sentence_of("test.py", config, path, "--cfg-options", *LOADERS)
    begin = "error: test_dataloader.dataset has no classes: data/imagenet/val/cat has"
    assert said.startswith(begin)


def test_it_trains_and_its_gates_are_drawn_and_its_cost_counted(launch, small, capsys):
    config = small("se-resnet50_imagenet")
    options = ["--work-dir", "work", "--cfg-options", *LOADERS]
    launch("train.py", config, *options, "train_cfg.max_epochs=1")
    path = "work/epoch_1.pth"
    assert Path(path).is_file()
    arguments = [config, path, "data/imagenet/val", "--output", "drawn.png"]
    launch("analysis/show_excitation.py", *arguments)
    assert Path("drawn.png").stat().st_size > 1000
    assert "cat: 1 images" in capsys.readouterr().out
    launch("analysis/complexity.py", config, "--shape", "64", "64", "--markdown")
    (row,) = (x for x in capsys.readouterr().out.splitlines() if x[:7] == "| small")
    assert float(row.split("|")[5]) > 0  # what SE adds


NON_LOCAL = """
model['backbone']['plugins'] = [
    dict(cfg=dict(type='nlse_mm.NonLocal2d'), position='after_block', blocks=(-2,),
         stages=(False, False, True, False))]
"""
WHOLE = """
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)),
    dict(type='PackInputs')]))
"""


def test_attention_is_not_drawn_on_images_that_the_pipeline_crops(
    sentence_of, launch, small
):
    config = small("se-resnet50_imagenet")
    config.write_text(config.read_text() + NON_LOCAL)
    arguments = ["data/imagenet/val/cat/0.png", config, "--at", "30,20"]
    said = sentence_of("analysis/show_attention.py", *arguments)
    assert said.endswith(
        "small.py tests with CenterCrop, whose place in the image isn't recorded: take "
        "it out of test_dataloader.dataset.pipeline"
    )
    config.write_text(config.read_text() + WHOLE)
    launch("analysis/show_attention.py", *arguments)
    assert Path("attention.png").stat().st_size > 1000
