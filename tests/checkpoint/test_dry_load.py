"""A model is asked what it would lack, and is afterwards as it was."""

import copy

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from nlse_mm.checkpoint import check_coverage
from nlse_mm.checkpoint.coverage.dry_load import dry_load, own_state
from nlse_mm.errors import CheckpointError


class Renaming(nn.Module):
    """Knows its layer by an older name, in each of the ways that PyTorch has."""

    def __init__(self, way):
        super().__init__()
        self.new = nn.Linear(2, 3)
        self.way, self.seen = way, 0
        if way == "pre-hook":
            self._register_load_state_dict_pre_hook(self._rename)
        if way == "pre-hook of PyTorch 2.5":
            if not hasattr(self, "register_load_state_dict_pre_hook"):
                pytest.skip("this PyTorch has no register_load_state_dict_pre_hook")
            self.register_load_state_dict_pre_hook(lambda _, *a: self._rename(*a))
        if way == "hook after loading":
            self.register_load_state_dict_post_hook(
                lambda _, keys: keys.missing_keys.clear()
            )

    def _rename(self, state_dict, prefix, *_):
        self.seen += 1
        for name in ("weight", "bias"):
            if f"{prefix}old.{name}" in state_dict:
                state_dict[f"{prefix}new.{name}"] = state_dict.pop(
                    f"{prefix}old.{name}"
                )

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if self.way == "overridden":
            self._rename(state_dict, prefix)
        if self.way == "copies by itself":
            self.new.weight.data.copy_(state_dict.pop(f"{prefix}old.weight"))
            self.new.bias.data.copy_(state_dict.pop(f"{prefix}old.bias"))
            self.new = nn.Identity()
        super()._load_from_state_dict(state_dict, prefix, *rest)


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


WAYS = [
    "pre-hook",
    "pre-hook of PyTorch 2.5",
    "overridden",
    "hook after loading",
    "copies by itself",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prefix", ["", "part."])
def test_a_models_own_hooks_are_asked_and_leave_no_trace(way, prefix):
    model = Renaming(way)
    if prefix:
        model = nn.ModuleDict(dict(part=model))
    weights = {
        f"{prefix}old.weight": torch.ones(3, 2),
        f"{prefix}old.bias": torch.ones(3),
    }
    before, given = state(model), dict(weights)
    parameters = [id(p) for p in model.parameters()]
    attributes = {name: vars(m).copy() for name, m in model.named_modules()}
    check_coverage(model, weights, "a.pth", testing=True)
    assert weights == given
    assert [id(p) for p in model.parameters()] == parameters
    assert {name: vars(m) for name, m in model.named_modules()} == attributes
    for key, value in state(model).items():
        assert torch.equal(value, before[key])


def test_it_leaves_a_model_as_it_was_if_a_hook_fails():
    model = Renaming("copies by itself")
    before = state(model)
    with pytest.raises(KeyError, match="old"):
        dry_load(model, {"old.weight": torch.ones(3, 2)})
    for key, value in state(model).items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("way", WAYS[:3])
def test_it_says_what_loading_then_does(way):
    model = Renaming(way)
    found = dry_load(model, {"old.weight": torch.ones(3, 2), "other": torch.ones(1)})
    assert found.missing == {"new.bias"}
    assert found.unexpected == {"other"}
    found = dry_load(model, {"old.weight": torch.ones(4, 2), "old.bias": [0.0] * 3})
    assert found.reshaped == {"new.weight": (4, 2)}
    assert found.foreign == {"new.bias": "list"}
    assert not found.missing


def test_versions_reach_the_layers_that_ask_for_them():
    versions = []

    class Versioned(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state_dict, prefix, metadata, *rest):
            versions.append(metadata.get("version"))
            super()._load_from_state_dict(state_dict, prefix, metadata, *rest)

    model = nn.Sequential(Versioned(2, 2))
    check_coverage(model, model.state_dict(), "a.pth")
    wrapped = nn.ModuleDict(dict(module=model)).state_dict()
    check_coverage(model, dict(state_dict=wrapped), "a.pth")
    check_coverage(model, dict(model.state_dict()), "a.pth")
    assert versions == [2, 2, None]


def test_wrappers_inside_a_model_have_no_keys_of_their_own():
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = nn.Linear(2, 2)
    model = nn.ModuleDict(dict(inner=wrapped))
    assert [key for key, _ in own_state(model)] == ["inner.weight", "inner.bias"]
    weights = {"inner.weight": torch.ones(2, 2), "inner.bias": torch.ones(2)}
    check_coverage(model, weights, "a.pth", testing=True)
    load_state_dict(model, weights, strict=True)


def test_it_sees_what_is_shared_lazy_scalar_or_not_saved():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.b = self.a
            self.lazy = nn.LazyLinear(2)
            self.scale = nn.Parameter(torch.tensor(1.0))
            self.register_buffer("mean", torch.zeros(3), persistent=False)

    model, trained = Odd(), Odd()
    trained.lazy(torch.ones(1, 5))
    weights = trained.state_dict() | {"scale": torch.ones(1)}
    check_coverage(model, weights, "a.pth", testing=True)
    assert isinstance(model.lazy.weight, nn.parameter.UninitializedParameter)
    del weights["b.weight"], weights["b.bias"]  # as .safetensors files leave them out
    check_coverage(model, weights, "a.pth", testing=True)
    del weights["a.weight"]
    with pytest.raises(CheckpointError, match=r"5 of the model's 7 keys match"):
        check_coverage(model, weights, "a.pth", testing=True)


def test_a_model_can_be_loaded_copied_and_trained_afterwards():
    model = Renaming("pre-hook")
    weights = {"old.weight": torch.ones(3, 2), "old.bias": torch.ones(3)}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    dry_load(model, weights)
    load_state_dict(model, weights, strict=True)
    model.new(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(copy.deepcopy(model).new.weight, torch.zeros(3, 2))
