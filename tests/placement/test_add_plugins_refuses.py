"""What ``add_plugins`` refuses, in one sentence, and a model that is then as it was."""

import copy
import subprocess
import sys

import mmcv.cnn
import pytest
import torch
from plain_models import Children, ResNet, image, maps
from plugged_models import NL
from torch import nn

import nlse_mm.plugins
from nlse_mm import add_plugins
from nlse_mm.errors import ConfigError


def refused(model, entries, example):
    """The sentence; the model keeps its class and its keys."""
    before = type(model), list(model.state_dict())
    with pytest.raises(ConfigError) as error:
        add_plugins(model, entries, example)
    assert (type(model), list(model.state_dict())) == before
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (dict(after="layer3.9"), "'layer3.1'"),
        (dict(after="Layer33"), "near it are 'layer3'"),
        (dict(after="layer3.0.relu"), "called 2 times"),
        (dict(after="unused"), "called 0 times"),
        (dict(after="listed"), "never called itself"),
        (dict(after="layer3.0.bn1"), "norm layers and convolutions"),
        (dict(after="fc"), "a tensor of shape (2, 10), not a map"),
        (dict(output=3), "returns 3 maps, -3 to 2"),
        (dict(output=0, after="layer3"), "exactly one"),
        (dict(after="layer3", in_channels=64), "in_channels=64, but the map"),
        (dict(after="layer3", in_channels=0), "in_channels=0 is not a number"),
        (dict(after="layer3", in_channels=True), "in_channels=True is not a number"),
    ],
)
def test_a_wrong_place_is_refused(entry, said):
    model = ResNet(lambda *m: (*m[:2], model.fc(m[2].mean((2, 3))), m[2])[:3])
    model.unused, model.listed = nn.Sequential(nn.ReLU()), nn.ModuleList([nn.ReLU()])
    good = dict(cfg=NL, after="layer2")
    assert said in refused(model, [good, dict(cfg=NL, **entry)], image())


@pytest.mark.parametrize(
    "wrap", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm]
)
def test_a_convolution_of_another_parametrisation_is_no_place(wrap):
    model = nn.Sequential(wrap(nn.Conv2d(3, 8, 3)), nn.ReLU())
    said = refused(model, [dict(cfg=NL, after="0")], torch.rand(1, 3, 16, 16))
    assert "norm layers and convolutions" in said


@pytest.mark.parametrize(
    ("returned", "output", "said"),
    [
        (lambda *_: None, 0, "a NoneType, not a map"),
        (lambda *m: m[0].mean((2, 3)), 0, "with after="),
        (lambda *m: m[0], 1, "returns one map, -1 to 0"),
        (lambda *m: dict(a=m[0], b=3), 1, "a int, not a map"),
        (lambda *m: m[0].permute(0, 2, 3, 1), 0, "(channels last)"),
        (lambda *m: m[0].flatten(2).mT, 0, "a tensor of shape (2, 96, 16)"),
    ],
)
def test_an_output_that_is_no_map_is_refused(returned, output, said):
    sentence = refused(ResNet(returned), [dict(cfg=NL, output=output)], image())
    assert said in sentence


def test_channels_that_only_a_run_finds_want_an_example():
    sentence = refused(ResNet(), [dict(cfg=NL, after="layer3")], None)
    assert "give example=, an input of the model, or in_channels=" in sentence
    last = dict(cfg=NL, output=-1, in_channels=64)
    assert "count from 0" in refused(ResNet(maps), [last], None)


def test_an_example_on_which_the_model_does_not_run_is_refused():
    for example, said in (
        (torch.rand(1, 4, 64, 64), "example=a tensor of shape (1, 4, 64, 64): ResNet"),
        ((image(), 3), "example=(a tensor of shape (2, 3, 64, 96), a int): ResNet"),
    ):
        assert said in refused(ResNet(), [dict(cfg=NL, after="layer3")], example)


def test_a_second_plugin_of_one_name_is_refused():
    model, entry = ResNet(), dict(cfg=NL, after="layer3")
    add_plugins(model, [entry], image())
    said = "a plugin 'nonlocal_block_after_layer3' already; postfix="
    assert said in refused(model, [entry], image())


def test_a_model_that_runs_all_its_children_is_refused():
    model = Children()
    said = refused(model, [dict(cfg=NL, after="stem")], image())
    assert "add the plugins to a child that holds the place, of 'stem', 'head'" in said
    assert list(dict(model.named_children())) == ["stem", "head"]


@pytest.mark.parametrize("package", [nlse_mm.plugins, mmcv.cnn])
@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize(
    ("block", "conv", "size", "shape"),
    [
        (1, nn.Conv2d, (16, 24), "(1, 16, 14, 22)"),
        (3, nn.Conv2d, (16, 24), "(1, 16, 14, 22)"),
        (2, nn.Conv3d, (4, 16, 24), "(1, 16, 2, 14, 22)"),
        (2, nn.Conv1d, (16,), "(1, 16, 14)"),
    ],
)
def test_a_plugin_for_other_dimensions_is_refused(
    block, conv, size, shape, sub_sample, package
):
    model = nn.Sequential(conv(3, 16, 3), nn.ReLU())
    cfg = dict(type=getattr(package, f"NonLocal{block}d"), sub_sample=sub_sample)
    entry = dict(cfg=cfg, after="1", in_channels=16)
    said = refused(model, [entry], torch.rand(1, 3, *size))
    assert f"{shape}, on which NonLocal{block}d does not run" in said


def test_a_plugin_of_other_dimensions_by_its_conv_cfg_is_placed():
    model, x = nn.Sequential(nn.Conv3d(3, 16, 3)), torch.rand(1, 3, 4, 16, 24)
    cfg = dict(type="nlse_mm.NonLocal2d", conv_cfg=dict(type="Conv3d"))
    add_plugins(model, [dict(cfg=cfg, output=0)], x)
    assert model(x).shape == (1, 16, 2, 14, 22)


class Verbose(nn.Module):
    def forward(self, x):
        raise RuntimeError("no kernel runs\nhere\nor there")


def test_of_an_error_of_many_lines_the_first_is_said():
    said = refused(Verbose(), [dict(cfg=NL, output=0)], dict(a=1))
    assert said.endswith("Verbose does not run on it (RuntimeError: no kernel runs)")


class Launcher(nn.Module):
    """Its ``train`` is a training, as that of Ultralytics' YOLO is."""

    def __init__(self):
        super().__init__()
        self.model = ResNet()

    def train(self, trainer=None, **kwargs):
        raise AssertionError


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (nn.DataParallel, "and wrap that in DistributedDataParallel"),
        (lambda m: torch.compile(m, backend="eager"), "before it is wrapped"),
        (lambda m: torch.jit.trace(m.eval(), image()), "traced or scripted"),
        (lambda m: torch.fx.symbolic_trace(copy.deepcopy(m)), "traced or scripted"),
        (lambda _: Launcher(), "which may be its attribute 'model'"),
    ],
    ids=["parallel", "compiled", "scripted", "fx", "launcher"],
)
def test_what_is_around_a_model_is_refused(around, said):
    assert said in refused(around(ResNet()), [dict(cfg=NL, after="layer3")], image())


@pytest.mark.parametrize("plugins", [None, dict(cfg=NL, after="layer3"), "layer3"])
def test_what_is_no_list_of_entries_is_refused(plugins):
    assert "is not a list of plugin entries" in refused(ResNet(), plugins, image())


def test_a_model_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"of class list, not an nn\.Module"):
        add_plugins([ResNet()], [dict(cfg=NL, after="layer3")], image())


def test_an_output_beyond_those_of_a_model_that_never_ran_says_so():
    entry = dict(cfg=NL, output=3, in_channels=8)
    model = add_plugins(ResNet(maps), [entry])
    with pytest.raises(RuntimeError, match=r"returns 3 maps in training.*output=3"):
        model(image())


def test_neither_a_toolbox_nor_a_compiled_operator_is_needed():
    code = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {'mmdet', 'mmseg', 'mmpretrain', 'mmaction', 'torchvision'}

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.split('.')[0] in HIDDEN or name == 'mmcv._ext'
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import nlse_mm
assert 'torch' not in sys.modules
import torch
from torch import nn
model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU())
cfgs = [dict(type=f'nlse_mm.{n}') for n in ('NonLocal2d', 'SELayer')]
entries = [dict(cfg=cfg, after='1') for cfg in [*cfgs, dict(type='NonLocal2d')]]
nlse_mm.add_plugins(model, entries, torch.rand(1, 3, 16, 16))
assert model(torch.rand(1, 3, 9, 7)).shape == (1, 16, 7, 5)
assert not HIDDEN & sys.modules.keys()
assert 'mmcv.ops' not in sys.modules
print('ran')
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("ran\n"), done.stderr
