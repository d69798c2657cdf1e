"""One entry for several modules: a pattern in ``after``, of which no dot is a part."""

import pytest
from plain_models import ResNet, at_work, image
from torch import nn

from nlse_mm import add_plugins

SE = dict(type="nlse_mm.SELayer", reduction=4, zero_init=True)


def plugged(pattern, **kwargs):
    return add_plugins(ResNet(), [dict(cfg=SE, after=pattern, **kwargs)], image())


def names(model):
    return [name for name, _ in model.named_children() if name.startswith("se_layer")]


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        ("layer*.1", ["layer1_1", "layer2_1", "layer3_1", "layer4_1"]),
        ("layer[23].?", ["layer2_0", "layer2_1", "layer3_0", "layer3_1"]),
        ("layer*", ["layer1", "layer2", "layer3", "layer4"]),
        ("layer3.1", ["layer3_1"]),
    ],
)
def test_a_pattern_is_an_entry_for_each_module_it_fits(pattern, places):
    expected = [f"se_layer_after_{place}" for place in places]
    assert names(plugged(pattern)) == expected


def test_each_place_has_its_own_channels():
    model = plugged("layer*.0")
    widths = [model.get_submodule(n).conv1.conv.in_channels for n in names(model)]
    assert widths == [8, 16, 32, 64]


def test_it_means_what_its_entries_mean():
    several = [dict(cfg=SE, after=f"layer{i}.0") for i in (1, 2, 3, 4)]
    one = at_work(ResNet(), [dict(cfg=SE, after="layer*.0")])
    all_of_them = at_work(ResNet(), several)
    all_of_them.load_state_dict(one.state_dict(), strict=True)
    x = image()
    assert (one(x) == all_of_them(x)).all()
    assert one(x).std() > 0


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("layers*", r"plugins\[0\]: after='layers\*' is not the path of a module of"),
        ("*.*.bn1", r"after='layer1.0.bn1' is a BatchNorm2d; norm layers"),
        ("*", "after='conv1' is a Conv2d; norm layers"),  # not the model itself
        ("layer*.0.relu", "after='layer1.0.relu' is called 2 times"),
    ],
)
def test_a_pattern_that_can_not_be_placed_ends_in_a_sentence(pattern, sentence):
    model = ResNet()
    with pytest.raises(ValueError, match=sentence):
        add_plugins(model, [dict(cfg=SE, after=pattern)], image())
    assert type(model) is ResNet
    assert isinstance(model.relu, nn.ReLU)
