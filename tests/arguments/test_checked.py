"""What arguments are refused, which go through, and what else a class keeps."""

import inspect
import logging
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import nn

from nlse_mm import backbones
from nlse_mm.arguments import checked
from nlse_mm.errors import ArgumentError
from nlse_mm.plugins import NonLocal2d, SELayer, SelfAttention2d
from nlse_mm.toolbox import backbone_class as stock_class

NL = dict(type="nlse_mm.NonLocal2d")
BN = dict(type="BN")


def resnet(**kwargs):
    return MODELS.build(dict(type="nlse_mm.ResNet", depth=18) | kwargs)


@pytest.mark.parametrize(
    "build",
    [
        lambda: NonLocal2d(np.int64(8), reduction=np.int32(2), std=np.float32(0.1)),
        lambda: NonLocal2d(8, std=0, sub_sample=np.bool_(True)),
        lambda: NonLocal2d(8, norm_cfg=ConfigDict(BN), conv_cfg=dict(type="Conv2d")),
        lambda: NonLocal2d(8, norm_cfg=dict(type=nn.BatchNorm2d)),
        lambda: NonLocal2d(8, norm_cfg=dict(BN, eps=1, momentum=None), conv_cfg={}),
        lambda: NonLocal2d(8, sub_sample=1, use_scale=np.int64(0)),
        lambda: SELayer(np.int64(64), reduction=np.int64(4), divisor=np.int32(4)),
        lambda: SELayer(64, bias=0, zero_init=1),
        lambda: backbones.SelfAttentionNet(9, init_cfg={}),
        lambda: SelfAttention2d(8, num_heads=2, max_offset=np.int64(3)),
        lambda: SELayer(in_channels=16, bias=False),
        lambda: backbones.SelfAttentionNet(8, [2, 1], out_indices=[1], inside=2),
        lambda: backbones.SelfAttentionNet([8, 9], [2, 1], out_indices=[np.int64(1)]),
    ],
)
def test_values_of_the_right_kind_go_through(build):
    assert isinstance(build(), nn.Module)


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(out_indices=[np.int64(3)], strides=[1, 2, 2, 2]),
        dict(norm_eval=0, with_cp=1),
        dict(norm_cfg=ConfigDict(type="SyncBN"), pretrained=None),
        dict(init_cfg=[dict(type="Kaiming", layer="Conv2d")]),
        dict(init_cfg=(dict(type="Kaiming", layer="Conv2d"),)),
        dict(init_cfg={}),
        dict(strides=np.array([1, 2, 2, 2]), out_indices=range(4)),
        dict(plugins=[dict(cfg=NL, position="after_block", blocks=np.array([-1, 0]))]),
        dict(plugins=[dict(cfg=NL, position="after_block", stages=np.eye(4)[2] > 0)]),
        dict(stage_with_dcn=(0, 0, 0, 0), dcn=None, style="caffe"),
        dict(plugins=[dict(cfg=NL, position="on_identity", stages=[0, 0, 1, 0])]),
        dict(plugins=[dict(cfg=NL, position="after_block", blocks=[np.int64(-1)])]),
        dict(plugins=[dict(cfg=dict(NL, postfix=1), position="after_block")]),
        dict(plugins=()),
    ],
)
def test_right_arguments_of_a_backbone_go_through(toolbox, kwargs):
    *_, last = resnet(**kwargs).eval()(torch.rand(1, 3, 64, 64))
    assert last.shape == (1, 512, 2, 2)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (dict(norm_cfg=["BN"]), "norm_cfg=.* is not a dict with a 'type', such as"),
        (dict(norm_cfg=dict(momentum=0.1)), "norm_cfg=.*is not a dict with a 'type'"),
        (dict(norm_cfg=dict(type="BM")), "norm_cfg.type='BM' is not a registered"),
        (dict(norm_cfg=dict(type=3)), "norm_cfg.type=3 is not a registered name"),
        (dict(norm_cfg=dict(type="GN", num_groups=3)), "MMCV refuses norm_cfg="),
        (dict(norm_cfg=dict(BN, foo=1)), "MMCV refuses norm_cfg=.*argument 'foo'"),
        (dict(norm_cfg=dict(BN, eps="1e-5")), "norm_cfg: eps='1e-5' is not a finite"),
        (dict(norm_cfg=dict(BN, affine="no")), "norm_cfg: affine='no' is not True or"),
        (dict(norm_cfg={}), "MMCV refuses norm_cfg={}"),
        (dict(std=10**400), "is not a finite number of at least 0"),
        (dict(sub_sample=2), "sub_sample=2 is not True or False"),
        (dict(conv_cfg=dict(type="Conv2")), "near it are 'Conv2d'"),
        (dict(std=float("inf")), "std=inf is not a finite number of at least 0"),
        (dict(in_channels=0), "in_channels=0 is not an integer of at least 1"),
        (dict(sub_sampel=True), "no argument 'sub_sampel' .*near it are 'sub_sample'"),
    ],
)
def test_a_wrong_value_in_a_plugin_is_named(wrong, sentence):
    with pytest.raises(ArgumentError, match=f"^nlse_mm.NonLocal2d.*{sentence}"):
        NonLocal2d(**dict(dict(in_channels=8), **wrong))


@pytest.mark.parametrize(
    "changes", [dict(blocks=()), dict(stages=(False,) * 4)], ids=["blocks", "stages"]
)
def test_an_entry_that_places_nothing_is_logged(toolbox, caplog, changes):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance("nothing placed")
    logger.addHandler(caplog.handler)
    resnet(plugins=[dict(cfg=NL, position="after_block", **changes)])
    warned = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert any("plugins[0]: " in w and "places no plugin" in w for w in warned)


def test_depth_may_be_given_by_position(toolbox):
    assert backbones.ResNet(18, 1).conv1.in_channels == 1
    assert backbones.SEResNet(18).layer1[0].se_layer.in_channels == 64
    with pytest.raises(ArgumentError, match=r"ResNet: in_channels='x' is not an int"):
        backbones.ResNet(18, "x")


def test_plugin_entries_may_be_given_by_position(in_mmdet):
    stock = [*inspect.signature(stock_class("ResNet")).parameters.values()]
    args = [p.default for p in stock[: [p.name for p in stock].index("plugins")]]
    entry = dict(cfg=NL, position="after_block", blocks=(-1,))
    model = backbones.ResNet(18, *args[1:], [entry], True)
    assert len(model.plugin_modules()) == 4
    assert model.with_cp


@pytest.mark.parametrize("name", sorted(set(backbones.__all__) - {"SelfAttentionNet"}))
def test_a_class_that_inherits_from_a_factory_is_told_what_to_do(name):
    with pytest.raises(TypeError, match=rf"nlse_mm.{name} is a function.*WithPlugins"):

        class Mine(getattr(backbones, name)):
            pass


def test_an_own_subclass_of_a_toolboxs_class_takes_plugins(in_mmdet):
    from mmdet.models import ResNet
    from mmdet.registry import MODELS as MMDET

    class Mine(ResNet):
        pass

    MMDET.register_module(name="Mine", module=Mine, force=True)
    entry = dict(cfg=NL, after="layer3.0")
    model = backbones.WithPlugins(base="Mine", depth=18, plugins=[entry])
    assert isinstance(model, Mine)
    assert len(model.plugin_modules()) == 1


def test_a_checked_class_keeps_its_signature_and_its_subclasses():
    class Mine(NonLocal2d):
        def __init__(self, in_channels, extra, **kwargs):
            super().__init__(in_channels, **kwargs)
            self.extra = extra

    assert str(inspect.signature(NonLocal2d)).startswith("(in_channels: int")
    assert Mine(8, extra=1, reduction=4).inter_channels == 2
    with pytest.raises(ArgumentError, match="reduction='4' is not an integer"):
        Mine(8, extra=1, reduction="4")
    copied = pickle.loads(pickle.dumps(NonLocal2d(8)))
    x = torch.rand(1, 8, 3, 4)
    assert torch.equal(copied(x), x)


def test_a_parent_that_a_subclass_puts_behind_ours_has_arguments():
    class Other(nn.Module):
        def __init__(self, other, flag: bool = False):
            super().__init__()
            self.other, self.flag = other, flag

    class Ours(nn.Module):
        def __init__(self, size: int = 1, **kwargs):
            super().__init__(**kwargs)

    Ours.__init__.__module__ = "nlse_mm.somewhere"
    Ours = checked(Ours)

    class Mine(Ours, Other):
        pass

    made = Mine(size=2, other="x", flag="auto")
    assert (made.other, made.flag) == ("x", "auto")
    with pytest.raises(ArgumentError, match="has no argument 'othre'"):
        Mine(othre="x")


def test_a_signature_of_the_users_own_binds_nobody(in_mmdet):
    class OwnBackbone(nn.Module):
        def __init__(self, pretrained=False, size: int = 3, norm_cfg=None):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, size)

        def forward(self, x):
            return (self.conv(x),)

    MODELS.register_module(module=OwnBackbone, force=True)
    given = dict(pretrained="a.pth", size=(3, 5), norm_cfg="BN")
    entry = dict(cfg=NL, output=np.int64(0))
    model = backbones.WithPlugins(base="OwnBackbone", plugins=[entry], **given)
    assert model.conv.kernel_size == (3, 5)


@pytest.mark.parametrize("raised", [True, False])
def test_a_fault_in_a_plugin_of_the_users_own_is_not_renamed(toolbox, raised):
    class OwnPlugin(nn.Module):
        def __init__(self, in_channels):
            super().__init__()
            if raised:
                raise TypeError("said on purpose")
            len(in_channels)

    entry = dict(cfg=dict(type=OwnPlugin), position="after_block")
    with pytest.raises((TypeError, ValueError)) as caught:
        resnet(plugins=[entry])
    assert str(caught.value).startswith("plugins[0]: ") == raised


def test_a_fault_inside_a_checked_class_is_not_renamed():
    @checked
    class Faulty:
        def __init__(self, norm_cfg: dict | None = None):
            nn.Conv2d(3, "four", 1)

    with pytest.raises(TypeError) as caught:
        Faulty(norm_cfg=BN)
    assert not isinstance(caught.value, ArgumentError)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (dict(base="ResNet", depth=51), "refuses depth=51 (KeyError: invalid depth 51"),
        (
            dict(base="HRNet", extra="w18"),
            "refuses extra='w18' (AssertionError: assert 'stage1' in extra and "
            "'stage2' in extra and 'stage3' in extra and 'stage4' in extra)",
        ),
        (
            dict(base="ResNet"),
            "refuses its arguments (TypeError: ResNet.__init__() mis",
        ),
        (
            dict(base="ResNet", depth=18, norm_eval="no"),
            "norm_eval='no' is not True or",
        ),
        (
            dict(base="SwinTransformer", depth=50, style="x"),
            "has no argument 'depth' (given 50), 'style' (given 'x'); near it are",
        ),
    ],
)
def test_a_base_says_what_it_refuses(in_mmdet, config, said):
    with pytest.raises(ArgumentError) as caught:
        backbones.WithPlugins(plugins=[], **config)
    name = f"nlse_mm.WithPlugins(base={config['base']!r})"
    assert str(caught.value).startswith(name)
    assert said in str(caught.value)


def test_an_empty_path_is_told_to_be_none():
    from nlse_mm.validation.coco_json import read_coco

    with pytest.raises(ValueError, match="ann_file='' is not the path"):
        read_coco("")
