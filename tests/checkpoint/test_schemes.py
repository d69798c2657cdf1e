"""Weights by name: no torchvision, no network, and nothing executed."""

import os
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_external_models,
    get_mmcls_models,
)
from torch import nn

from nlse_mm.errors import CheckpointError

# The toolboxes and their forks serve the same weights from different addresses.
RESNEXT = get_mmcls_models()["resnext152_32x4d"]
R50_V1C = get_external_models()["resnet50_v1c"]
R50 = "https://download.pytorch.org/models/resnet50-0676ba61.pth"


def load(name):
    return CheckpointLoader.load_checkpoint(name, "cpu", logger="silent")


def test_torchvision_weights_load_without_torchvision(hub, web, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    folder, asked = web
    weights = nn.Linear(2, 3).state_dict()
    torch.save(weights, folder / Path(R50).name)
    for _ in range(2):
        loaded = load("torchvision://resnet50")
        assert torch.equal(loaded["weight"], weights["weight"])
    assert asked == [R50], "downloaded once"
    assert os.listdir(hub) == ["resnet50-0676ba61.pth"]


def test_mmcls_weights_lose_their_prefix(hub, web):
    state = {"backbone.conv1.weight": torch.ones(2), "head.fc.weight": torch.ones(1)}
    torch.save(dict(state_dict=state), web[0] / Path(RESNEXT).name)
    loaded = load("mmcls://resnext152_32x4d")
    assert list(loaded["state_dict"]) == ["conv1.weight"]
    assert web[1] == [RESNEXT]


@pytest.mark.parametrize("scheme", ["open-mmlab", "openmmlab"])
def test_openmmlab_weights_go_by_old_names_too(hub, web, scheme):
    torch.save(dict(a=torch.ones(1)), web[0] / "resnet50_caffe-788b5fa3.pth")
    assert load(f"{scheme}://detectron/resnet50_caffe")["a"] == 1
    assert load(f"{scheme}://resnet50_caffe")["a"] == 1
    assert len(web[1]) == 1


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [
        ("torchvision://resnet50", R50, "model.backbone.init_cfg.checkpoint"),
        ("https://a.org/b/c.pth?d=e", "https://a.org/b/c.pth", "load_from"),
        ("mmcls://resnext152_32x4d", RESNEXT, "'backbone.'"),
        ("open-mmlab://resnet50_v1c", R50_V1C, "init_cfg"),
    ],
)
def test_without_a_network_one_sentence_says_what_to_fetch(
    hub, no_network, name, file, key
):
    with pytest.raises(CheckpointError) as caught:
        load(name)
    message = str(caught.value)
    assert file in message
    assert str(hub) in message
    assert key in message
    assert "no route to host" in message
    assert "\n" not in message


def test_a_file_put_where_the_sentence_says_is_used(hub, no_network):
    hub.mkdir(parents=True)
    torch.save(dict(a=torch.ones(1)), hub / Path(R50).name)
    assert load("torchvision://resnet50")["a"] == 1


def test_a_misspelt_name_is_met_with_near_ones(hub, no_network, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(CheckpointError, match=r"torchvision://resnet5 .*resnet50"):
        load("torchvision://resnet5")
    with pytest.raises(CheckpointError, match=r"mmcls://vgg .*vgg1"):
        load("mmcls://vgg")


@pytest.mark.parametrize("name", ["https://a.org/evil.pth", "torchvision://resnet50"])
def test_a_download_that_runs_code_is_refused(hub, web, tmp_path, name):
    mark = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    for file in ("evil.pth", Path(R50).name):
        torch.save(dict(a=Attack()), web[0] / file)
    with pytest.raises(CheckpointError, match=r"posix\.system"):
        load(name)
    assert not mark.exists()


def test_the_local_part_of_the_openmmlab_table_is_loaded_safely(hub, tmp_path):
    home = tmp_path / "mmengine"
    home.mkdir()
    (home / "open_mmlab.json").write_text('{"mine": "mine.pth"}')
    torch.save(dict(a=torch.ones(1)), home / "mine.pth")
    assert load("open-mmlab://mine")["a"] == 1
