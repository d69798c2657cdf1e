"""``in_branch=True`` takes a place in a residual branch, and refuses any other."""

import pytest
import torch
from mmengine.registry import MODELS
from plain_models import ResNet, image

from nlse_mm import add_plugins

SE = dict(type="nlse_mm.SELayer", reduction=4, zero_init=True)


def entry(after, **kwargs):
    return dict(cfg=SE, after=after, in_branch=True, **kwargs)


class Branch(torch.nn.Module):
    """Ends in a module of its own, as MMPretrain's blocks do."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1))
        self.branch = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 1), torch.nn.ReLU())
        self.last = torch.nn.ReLU()
        self.bias = torch.nn.Parameter(torch.zeros(8, 1, 1))
        self.register_buffer("offset", torch.zeros(8, 1, 1))

    def forward(self, x):
        x = self.stem(x) + self.bias + self.bias.flip(0) + self.offset
        return self.last(x + self.branch(x))


def test_what_a_shortcut_is_added_to_is_taken():
    model = add_plugins(Branch(), [entry("branch")], image())
    assert hasattr(model, "se_layer_after_branch")


@pytest.mark.parametrize("after", ["stem", "last"])
def test_what_stands_before_and_behind_a_block_is_refused(after):
    model = Branch()
    sentence = f"in_branch=True, but what Branch gives at after='{after}' is in no res"
    with pytest.raises(ValueError, match=sentence):
        add_plugins(model, [entry(after)], image())
    assert type(model) is Branch


def test_a_blocks_sum_and_its_projected_shortcut_differ():
    with pytest.raises(ValueError, match="is in no residual branch"):
        add_plugins(ResNet(), [entry("layer3.0")], image())
    add_plugins(ResNet(), [entry("layer3.0.downsample")], image())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (entry("branch") | dict(in_branch="yes"), "in_branch='yes' is not True or Fal"),
        (dict(cfg=SE, output=0, in_branch=True), "in_branch=True is not .* beside aft"),
    ],
)
def test_a_value_that_means_nothing_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        add_plugins(Branch(), [wrong], image())


def test_without_a_run_it_can_not_be_known():
    with pytest.raises(ValueError, match="in a residual branch only a run"):
        add_plugins(Branch(), [entry("branch", in_channels=8)])


@pytest.mark.parametrize(
    ("base", "after", "is_there"),
    [
        ("ShuffleNetV1", "layers.*.*.g_conv_1x1_expand", True),
        ("ShuffleNetV1", "layers.*.1", False),
        ("MobileNetV2", "layer2.1.conv", True),
        ("MobileNetV2", "layer1.0.conv", False),  # 32 to 16 channels, no shortcut
    ],
)
def test_mmpretrains_blocks_are_understood(in_mmpretrain, base, after, is_there):
    plugins = [entry(after)]
    kind = dict(type="nlse_mm.WithPlugins", base=base, plugins=plugins)
    if is_there:
        assert any("se_layer" in name for name, _ in MODELS.build(kind).named_modules())
        return
    with pytest.raises(ValueError, match="is in no residual branch"):
        MODELS.build(kind)
