"""A container with plugins whose members are changed afterwards."""

import copy

import pytest
import torch
from plain_models import Layers
from plugged_models import DOUBLE
from torch import nn

from nlse_mm import add_plugins


class Listed(nn.ModuleList):
    """Runs its members one after the other."""

    def forward(self, x):
        for layer in self:
            x = layer(x)
        return x


def conv():
    return nn.Conv2d(4, 4, 1)


CHANGES = dict(
    delete=lambda m: m.__delitem__(-1),
    slice=lambda m: m.__delitem__(slice(1, None)),
    pop=lambda m: m.pop(1),
    insert=lambda m: m.insert(0, nn.Tanh()),
    append=lambda m: m.append(nn.Tanh()),
    set=lambda m: m.__setitem__(1, nn.Tanh()),
    append_and_set=lambda m: m.append(nn.Tanh()).__setitem__(-1, nn.Sigmoid()),
    extend=lambda m: m.extend([nn.Tanh(), nn.Sigmoid()]),
)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("container", [nn.Sequential, Listed])
def test_a_change_of_the_members_leaves_the_plugins(container, change):
    layers = [conv(), nn.ReLU(), conv()]
    model = container(*layers) if container is nn.Sequential else container(layers)
    stock, x = copy.deepcopy(model).eval(), torch.rand(1, 4, 6, 5)
    add_plugins(model, [dict(cfg=DOUBLE, output=0)], x)
    change(model), change(stock)
    names = [n for n, _ in stock.named_children()]
    assert list(model.keys()) == names
    assert {n for n, _ in model.named_children()} == {*names, "affine_output0"}
    assert stock.state_dict().keys() <= model.state_dict().keys()
    assert [type(m) for m in model] == [type(m) for m in stock]
    model.train()
    assert all(m.training for m in model.modules())
    assert torch.equal(model.eval()(x), 2 * stock(x))


def test_the_plugin_behind_a_member_goes_on_behind_it():
    model, x = nn.Sequential(conv(), nn.ReLU(), conv()).eval(), torch.rand(1, 4, 6, 5)
    relu = copy.deepcopy(model[:2])
    add_plugins(model, [dict(cfg=DOUBLE, after="1")], x)
    del model[-1]
    assert torch.equal(model(x), 2 * relu(x))


def test_the_members_of_a_dict_change_without_its_plugins():
    model, x = Layers(dict(a=conv(), b=nn.ReLU())).eval(), torch.rand(1, 4, 6, 5)
    add_plugins(model, [dict(cfg=DOUBLE, output=1)], x)
    model["b"] = nn.Identity()
    out = model(x)
    assert torch.equal(out["b"], 2 * out["a"])
    model.clear()
    assert len(model.train()) == 0
    assert len(model.plugin_modules()) == 1
