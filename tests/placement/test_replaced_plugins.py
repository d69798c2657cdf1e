"""A plugin that is replaced or deleted by its name: what is run and what is a child."""

import copy

import pytest
import torch
from plain_models import ResNet, assert_equal, image, maps
from plugged_models import DOUBLE
from torch import nn

from nlse_mm import add_plugins

NAMES = ["affine_after_layer3", "affine_output1", "affine_after_layer4"]


def plugged(*names):
    """The model, and what it returns with some of its plugins only."""
    model, x = ResNet(maps).eval(), image()
    second, third, _ = model(x)
    third = third * 2 if NAMES[0] in names else third
    fourth = model.layer4(third)
    third = third * 2 if NAMES[1] in names else third
    fourth = fourth * 2 if NAMES[2] in names else fourth
    places = [dict(after="layer3"), dict(output=1), dict(after="layer4")]
    add_plugins(model, [dict(cfg=DOUBLE, **place) for place in places], x)
    assert model.plugin_names() == [NAMES[1], NAMES[0], NAMES[2]]
    return model, x, (second, third, fourth)


REPLACE = dict(
    setattr=setattr,
    add_module=lambda model, *args: model.add_module(*args),
)
DELETE = dict(delattr=delattr, none=lambda model, name: setattr(model, name, None))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("replace", REPLACE.values(), ids=REPLACE)
def test_the_module_that_replaces_a_plugin_is_run(replace, name):
    model, x, expected = plugged(*set(NAMES) - {name})
    other = nn.Identity()
    replace(model, name, other)
    assert_equal(model(x), expected)
    assert any(plugin is other for plugin in model.plugin_modules())
    assert model.train() is model
    assert_equal(copy.deepcopy(model).eval()(x), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("delete", DELETE.values(), ids=DELETE)
def test_a_plugin_that_is_deleted_is_not_run(delete, name):
    model, x, expected = plugged(*set(NAMES) - {name})
    delete(model, name)
    assert_equal(model(x), expected)
    assert len(model.plugin_modules()) == 2
    assert model.train() is model
    assert name not in dict(model.named_modules())


def test_another_attribute_leaves_the_plugins():
    model, x, expected = plugged(*NAMES)
    model.fc, model.unused = nn.Identity(), nn.Identity()
    del model.unused
    assert_equal(model(x), expected)
    assert torch.compile(model, backend="eager", fullgraph=True)(x)[0].equal(
        expected[0]
    )
