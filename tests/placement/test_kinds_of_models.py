"""Plugins in containers of modules, and on maps in tuples, lists, dicts and alone."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from plain_models import Fusible, Layers, ResNet, assert_equal, image, maps
from plugged_models import DOUBLE
from this_pytorch import needs_compiled_type
from torch import nn

from nlse_mm import add_plugins
from nlse_mm.placement.plugged_model import list_maps

Three = namedtuple("Three", "a b c")


@pytest.mark.parametrize(
    "kind", [nn.Sequential, pytest.param(Layers, marks=needs_compiled_type)]
)
def test_the_plugins_of_a_container_are_no_members(kind):
    members = [("first", Fusible()), ("last", nn.Conv2d(8, 4, 1))]
    model, x = kind(OrderedDict(members)).eval(), image()
    entries = [dict(cfg=DOUBLE, after="first"), dict(cfg=DOUBLE, output=-1)]
    expected = 2 * model.last(2 * model.first(x))
    add_plugins(model, entries, x)
    for run in (model, torch.compile(model, backend="eager", fullgraph=True)):
        out = run(x)
        out = out["last"] if kind is Layers else out
        torch.testing.assert_close(out, expected)
    assert len(model) == len(list(model)) == 2
    assert len(list(model.children())) == 4


def test_a_member_that_comes_twice_runs_twice():
    member = nn.Sequential(nn.Conv2d(3, 3, 3))
    model, x = nn.Sequential(member, member), image()
    expected = 2 * model(x)
    add_plugins(model, [dict(cfg=DOUBLE, output=0)], x)
    assert torch.equal(model(x), expected)


def test_a_slice_of_a_sequence_has_no_plugins():
    model = nn.Sequential(Fusible(), nn.Conv2d(8, 4, 1))
    add_plugins(model, [dict(cfg=DOUBLE, output=0)], image())
    assert type(model[:1]) is nn.Sequential
    assert list(model[:1]) == [model[0]]
    assert model[-1] is model[1]


HOW = dict(
    tuple=maps,
    list=lambda *m: list(m),
    dict=lambda *m: dict(first=m[0], second=m[1], third=m[2]),
    ordered=lambda *m: OrderedDict(z=m[0], y=m[1], x=m[2]),
    named=lambda *m: Three(*m),
)


@pytest.mark.parametrize("output", [1, -2])
@pytest.mark.parametrize("how", HOW)
def test_an_output_counts_what_the_model_returns(how, output):
    model, x = ResNet(HOW[how]).eval(), image()
    theirs = model(x)
    add_plugins(model, [dict(cfg=DOUBLE, output=output)], x)
    ours = model(x)
    assert type(ours) is type(theirs)
    assert not isinstance(ours, dict) or list(ours) == list(theirs)
    first, second, third = list_maps(theirs)
    assert_equal(list_maps(ours), (first, 2 * second, third))


@needs_compiled_type
@pytest.mark.parametrize("how", HOW)
def test_what_a_compiled_model_returns_is_of_its_class(how):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Returns(HOW[how]))
    x = image()
    add_plugins(model, [dict(cfg=DOUBLE, output=1)], x)
    expected, compiled = model(x), torch.compile(model, backend="eager", fullgraph=True)
    assert type(compiled(x)) is type(expected)
    assert_equal(list_maps(compiled(x)), list_maps(expected))


class Returns(nn.Module):
    """Three maps, in one of the forms of ``HOW``."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        return self.how(x, x + 1, x + 2)


@pytest.mark.parametrize("output", [0, -1])
def test_one_map_is_an_output_of_its_own(output):
    model, x = ResNet(lambda *m: m[2]).eval(), image()
    expected = 2 * model(x)
    add_plugins(model, [dict(cfg=DOUBLE, output=output)], x)
    assert torch.equal(model(x), expected)
