"""Config text inside a checkpoint is data, and never runs."""

import pytest
import torch
from mmengine.config import Config
from mmengine.infer import BaseInferencer

from nlse_mm.checkpoint import load_from_local
from nlse_mm.checkpoint.loading.config_text import is_plain_data


def program(mark):
    return f"a = open({str(mark)!r}, 'w').close()\n"


def test_resume_does_not_execute_the_config_of_the_checkpoint(
    tmp_path, runner, real_checkpoint
):
    mark, path = tmp_path / "executed", tmp_path / "epoch_2.pth"
    checkpoint = load_from_local(str(real_checkpoint))
    checkpoint["meta"]["config"] = program(mark)
    torch.save(checkpoint, path)
    resumed = runner(tmp_path / "run", epochs=3)
    resumed.resume(str(path))
    assert resumed.epoch == 2
    assert not mark.exists()


@pytest.mark.parametrize("place", ["meta", "message_hub"])
def test_an_inferencer_does_not_execute_it_either(tmp_path, log, place):
    mark, path = tmp_path / "executed", tmp_path / "a.pth"
    holder = dict(cfg=program(mark))
    runtime_info = holder if place == "message_hub" else {}
    meta = holder if place == "meta" else {}
    torch.save(
        dict(state_dict={}, meta=meta, message_hub=dict(runtime_info=runtime_info)),
        path,
    )
    with pytest.raises((ValueError, KeyError), match=r"cfg|config"):
        BaseInferencer._init_model(None, {}, str(path))
    assert not mark.exists()
    assert len(log) == 1
    assert str(path) in log[0]


def test_the_text_that_mmengine_writes_is_kept(tmp_path):
    text = Config(
        dict(
            model=dict(type="A", scale=(-1.5, 1e-3), layers=[1, None, dict(b=True)]),
            a={1: 2, "b-c": "d"},
            nothing=(),
        )
    ).pretty_text
    torch.save(dict(state_dict={}, meta=dict(cfg=text)), tmp_path / "a.pth")
    assert load_from_local(str(tmp_path / "a.pth"))["meta"]["cfg"] == text


@pytest.mark.parametrize("config", ["mask_rcnn_r50", "mask_rcnn_r50_nl"])
def test_the_text_of_a_whole_config_is_plain(config):
    pytest.importorskip("mmdet")
    assert is_plain_data(Config.fromfile(f"configs/{config}.py").pretty_text)


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "a = print('hello')",
        "a = dict(b=[print('hello')])",
        "a = dict(**print())",
        "a = dict(*[print()])",
        "a = [b for b in (1, 2)]",
        "a = lambda: 1",
        "a = f'{print()}'",
        "a = b.c",
        "a = (b := 1)",
        "a.b = 1",
        "a[print()] = 1",
        "a: print() = 1",
        "a += 1",
        "print()",
        "if print(): a = 1",
        "dict = 1",
        "_base_ = 'other.py'",
        "a = ['{{$N:\\}}', ' + print() + ', '']",
        "a = ",
        "a = " + "(" * 10_000 + ")" * 10_000,
        "a = " + "-" * 2_000 + "1",
        "a = 1\0",
    ],
)
def test_whatever_could_run_is_not_plain(text):
    assert not is_plain_data(text)
