"""A file without weights where MMEngine expects them: each kind in one sentence."""

import pytest
import torch
from torch import nn

from nlse_mm.checkpoint import check_coverage
from nlse_mm.checkpoint.coverage.weights import weights_of
from nlse_mm.errors import CheckpointError

WEIGHTS = nn.Linear(2, 2).state_dict()
UNDER = "and MMEngine expects them under state_dict: save them as "


@pytest.mark.parametrize(
    ("checkpoint", "sentence"),
    [
        ([1], "a.pth is not a checkpoint: it holds a list, not a dict of weights"),
        (torch.ones(1), "a.pth is not a checkpoint: it holds a Tensor, not a dict"),
        (nn.Linear(2, 2), "a.pth is not a checkpoint: it holds a Linear, not a dict"),
        ({}, "a.pth holds no weights: it is empty"),
        (dict(state_dict={}, meta={}), "holds no weights: its state_dict is empty"),
        (dict(state_dict=None), "its state_dict is a NoneType, not a dict of weights"),
        (dict(state_dict=[WEIGHTS]), "its state_dict is a list, not a dict of weights"),
        (
            dict(model=WEIGHTS, optimizer={}, epoch=3),
            f"keeps its weights under model, {UNDER}"
            "dict(state_dict=torch.load(...)['model'])",
        ),
        (
            dict(net=WEIGHTS, state_dict_ema=WEIGHTS),
            f"keeps its weights under net and state_dict_ema, {UNDER}"
            "dict(state_dict=torch.load(...)['net'])",
        ),
        (
            dict(state_dict=dict(model=WEIGHTS)),
            f"keeps its weights under state_dict.model, {UNDER}"
            "dict(state_dict=torch.load(...)['state_dict']['model'])",
        ),
        (
            dict(state_dict={k: v.numpy() for k, v in WEIGHTS.items()}),
            "nothing in its state_dict is a tensor, and its 'weight' is a ndarray",
        ),
        (dict(epoch=3), "nothing in it is a tensor, and its 'epoch' is a int"),
        ({0: torch.ones(1)}, "holds no weights: it has 0 as a key, not a name"),
    ],
)
@pytest.mark.parametrize("stage", [{}, dict(testing=True), dict(resuming=True)])
def test_what_holds_no_weights_says_why(checkpoint, sentence, stage):
    with pytest.raises(CheckpointError) as caught:
        check_coverage(nn.Linear(2, 2), checkpoint, "a.pth", **stage)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dicts_beside_bare_weights_are_left_out(log):
    notes = dict(optimizer=dict(state={}), meta={})
    check_coverage(nn.Linear(2, 2), WEIGHTS | notes, "a.pth", testing=True)
    assert log == ["a.pth: 2 of the model's 2 keys match"]


def test_a_models_own_module_is_found_with_and_without_a_wrapper():
    own = ["module.weight", "module.list.0.bias", "top.module.bias"]
    for prefix in ("", "module.", "_orig_mod.module."):
        weights = weights_of({prefix + k: torch.ones(1) for k in own}, "a.pth", own)
        assert list(weights) == own


def test_a_model_without_weights_needs_none(log):
    for stage in ({}, dict(testing=True), dict(resuming=True)):
        check_coverage(nn.ReLU(), dict(state_dict={}), "a.pth", **stage)
    assert set(log) == {"a.pth: 0 of the model's 0 keys match"}
