"""A wrong argument in a config ends in one sentence, whosoever's class takes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mmdet")
HERE = Path(__file__).parent
TOY = HERE / "launcher_toy"
TRAIN = HERE.parents[1] / "tools" / "train.py"
CONFIG = """
_base_ = {base!r}
default_scope = 'mmdet'
model = {model}
"""
NL = dict(type="nlse_mm.NonLocal2d")
HOOK = "default_hooks.checkpoint"
TYPE = f"{HOOK}.type=CheckpointHook"


def entry(**changes):
    return dict(cfg=NL, position="after_block") | changes


def resnet(**changes):
    return dict(_delete_=True, type="nlse_mm.ResNet", depth=18) | changes


def plugin(**changes):
    return resnet(plugins=[entry(cfg=NL | changes)])


@pytest.fixture
def refused(sentence_of, monkeypatch):
    """What train.py says of a config with this model."""
    monkeypatch.syspath_prepend(str(TOY))

    def run(model, *options):
        base = str(TOY / "config.py")
        Path("wrong.py").write_text(CONFIG.format(base=base, model=model))
        return sentence_of("train.py", "wrong.py", "--work-dir", "work", *options)

    return run


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (resnet(type="nlse_mm.SEResNet", se_ratio=16), "has no argument 'se_ratio'"),
        (resnet(foo=1), "nlse_mm.ResNet has no argument 'foo' (given 1)"),
        (resnet(depht=50), "near it are 'depth'"),
        (resnet(depth="fifty"), "nlse_mm.ResNet: depth='fifty' is not an integer"),
        (resnet(depth=51), "depth=51 is not one of (18, 34, 50, 101, 152)"),
        (resnet(num_stages=5), "num_stages=5 (AssertionError: assert num_stages >= 1"),
        (resnet(out_indices=7), "out_indices=7 is not a list of integers"),
        (resnet(out_indices=(7,)), "out_indices=(7,) (AssertionError: assert max("),
        (resnet(norm_cfg="BN"), "norm_cfg='BN' is not a dict with a 'type'"),
        (resnet(norm_cfg=dict(type="BM")), "norm_cfg.type='BM' is not a registered"),
        (
            resnet(norm_cfg=dict(type="BN", eps="x")),
            "norm_cfg: eps='x' is not a finite",
        ),
        (
            resnet(init_cfg=dict(type="Pretrained", checkpoint=3)),
            "init_cfg: checkpoint=3 is not a string",
        ),
        ("'Own'", "model='Own' is not a dict of settings"),
        (resnet(norm_cfg=dict(type="GN")), "refuses norm_cfg={'type': 'GN'}"),
        (resnet(style="tf"), "style='tf' is not one of ('pytorch', 'caffe')"),
        (resnet(norm_eval="False"), "norm_eval='False' is not True or False"),
        (resnet(init_cfg="a.pth"), "init_cfg='a.pth' is not a dict with a 'type'"),
        (resnet(init_cfg=dict(type="Pretrainde")), "near it are 'Pretrained'"),
        (plugin(norm_cfg=True), "plugins[0]: nlse_mm.NonLocal2d: norm_cfg=True"),
        (plugin(norm_cfg=dict(type="GN")), "MMCV refuses norm_cfg={'type': 'GN'}"),
        (plugin(sub_sample="False"), "sub_sample='False' is not True or False"),
        (plugin(std=-1), "std=-1 is not a finite number of at least 0"),
        (plugin(postfix=["a"]), "plugins[0]: postfix=['a'] is not a string"),
        (resnet(plugins=[entry(stages="TFFF")]), "stages='TFFF' is not a tuple of"),
        (resnet(plugins=[entry(stages=(1, 2, 3, 4))]), "stages=(1, 2, 3, 4) is not a"),
        (resnet(plugins=[entry(blocks=1.0)]), "blocks=1.0 is not a tuple of integers"),
        (resnet(plugins=[entry(position=["pre"])]), "position=['pre'] is not one of"),
        (resnet(plugins=entry()), "is not a list of plugin entries"),
        (
            resnet(type="nlse_mm.WithPlugins", base="SwinTransformer", plugins=[]),
            "WithPlugins(base='SwinTransformer') has no argument 'depth' (given 18)",
        ),
        (resnet(type="nlse_mm.SENet"), "left here goes with _delete_=True"),
        (resnet(type="nlse_mm.SelfAttentionNet"), "goes with _delete_=True"),
        # The toolboxes' own.
        (resnet(type="ResNet", depth=51), "type='ResNet' refuses depth=51 (KeyError"),
        (resnet(type="ResNet", norm_cfg="BN"), "refuses norm_cfg='BN' (TypeError: cfg"),
        (resnet(type="RegNet", depth=18), "unexpected keyword argument 'depth'"),
    ],
)
def test_a_wrong_argument_of_a_backbone(refused, model, words):
    assert words in refused(model)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["optim_wrapper.optimizer.lr=fast"], "type='SGD' refuses lr='fast'"),
        (
            [TYPE, f"{HOOK}.intervall=1"],
            "near it are 'interval'",
        ),
        (
            [TYPE, f"{HOOK}.by_epoch=No"],
            "by_epoch='No' is not True or",
        ),
        (["train_dataloader.sampler.type=NoSampler"], "NoSampler"),
        (
            ["train_cfg.max_epochs=many"],
            "train_cfg.max_epochs='many' is not an integer",
        ),
        (["custom_hooks=x"], "hook should be an instance of Hook or dict, but got x"),
        (["train_cfg.max_epoch=3"], "unexpected keyword argument 'max_epoch'"),
        (["train_dataloader.batch_sise=3"], "dataloader refuses batch_sise=3"),
        (["train_dataloader.batch_size=two"], "batch_size='two'"),
        (
            ["custom_hooks.0.type=nlse_mm.AttentionStatisticsHook"],
            "nlse_mm.AttentionStatisticsHook: interval='x' is not an integer",
        ),
    ],
)
def test_a_wrong_argument_elsewhere(sentence_of, monkeypatch, options, words):
    monkeypatch.syspath_prepend(str(TOY))
    text = f"_base_ = {str(TOY / 'config.py')!r}\ncustom_hooks = [dict(interval='x')]\n"
    if "custom_hooks" not in options[0]:
        text = text.replace("[dict(interval='x')]", "[]")
    Path("wrong.py").write_text(text)
    said = sentence_of(
        "train.py", "wrong.py", "--work-dir", "w", "--cfg-options", *options
    )
    assert words in said


OWN = """
from mmcv.cnn import ConvModule
from mmengine.model import BaseModel
from mmengine.registry import MODELS


@MODELS.register_module()
class Own(BaseModel):
    def __init__(self, width):
        super().__init__()
        self.conv = ConvModule(3, width, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return self.conv(inputs)
"""


def test_a_fault_in_a_class_of_the_users_own_keeps_its_traceback(launch, monkeypatch):
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.syspath_prepend(".")
    Path("own_model.py").write_text(OWN)
    Path("own.py").write_text(
        f"_base_ = {str(TOY / 'config.py')!r}\n"
        "custom_imports = dict(imports=['toy', 'own_model'])\n"
        "model = dict(_delete_=True, type='Own', width='wide')\n"
    )
    with pytest.raises(TypeError, match="not all arguments converted"):
        launch("train.py", "own.py", "--work-dir", "work")


def test_a_fault_of_ours_below_a_constructor_keeps_its_traceback(launch, monkeypatch):
    from nlse_mm.backbones import self_attention_net

    def faulty(*_):
        return self_attention_net.nn.Conv2d(3, "four", 1)

    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setattr(self_attention_net, "_downsample", faulty)
    model = dict(_delete_=True, type="nlse_mm.SelfAttentionNet", channels=9)
    base = str(TOY / "config.py")
    Path("ours.py").write_text(CONFIG.format(base=base, model=model))
    with pytest.raises(TypeError, match="not all arguments converted"):
        launch("train.py", "ours.py", "--work-dir", "work")


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (dict(type="nlse_mm.SEResNet", depth=50, se_ratio=16), "argument 'se_ratio'"),
        (dict(type="nlse_mm.SENet", plugins="nl"), "error: plugins='nl' is not a list"),
        (
            dict(type="ResNet", depth=51),
            "error: backbone of FasterRCNN: type='ResNet' re",
        ),
    ],
)
def test_a_process_ends_with_one_sentence_and_code_2(tmp_path, backbone, words):
    parts = ["rpn_head", "roi_head", "train_cfg", "test_cfg"]
    model = dict(_delete_=True, type="FasterRCNN", backbone=backbone)
    model |= dict.fromkeys(parts)
    config = tmp_path / "wrong.py"
    config.write_text(CONFIG.format(base=str(TOY / "config.py"), model=model))
    paths = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, TRAIN, config, "--work-dir", tmp_path / "work"],
        env=os.environ | dict(PYTHONPATH=paths, OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert (done.returncode, last[:7]) == (2, "error: "), done.stderr[-3000:]
    assert words in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("optim_wrapper=SGD", "optim_wrapper='SGD' is not a dict of settings"),
        ("train_dataloader=coco", "train_dataloader='coco' is not a dict of settings"),
        ("default_hooks=3", "default_hooks=3 is not a dict of settings"),
        (f"{HOOK}=5", f"{HOOK}=5 is not a dict of settings"),
        ("train_cfg.max_epochs=-1", "train_cfg.max_epochs=-1 is not an integer above"),
        ("train_cfg.val_interval=0", "train_cfg.val_interval=0 is not an integer"),
        ("load_from=3", "load_from=3 is not the path of a checkpoint"),
        ("log_level=loud", "MMEngine's Runner refuses log_level='loud' (KeyError: "),
        ("randomness.seed=x", "MMEngine's Runner refuses randomness={'seed': 'x'}"),
        ("env_cfg.mp_cfg=3", "MMEngine's Runner refuses env_cfg={'mp_cfg': 3}"),
    ],
)
def test_a_part_of_the_config_that_is_no_setting_is_named(refused, option, words):
    assert words in refused(dict(), "--cfg-options", option)
