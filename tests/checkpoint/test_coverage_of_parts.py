"""Which missing and unexpected keys a test, a training or a resumed one can bear."""

import pytest
import torch
from torch import nn

from nlse_mm.checkpoint import check_coverage
from nlse_mm.errors import CheckpointError
from nlse_mm.registry import MODELS

START = "backbone.conv3."


class Net(nn.Module):
    """Ten layers in a backbone, with what a network's state has beside weights."""

    def __init__(self, layers=9, **children):
        super().__init__()
        self.backbone = nn.ModuleDict(
            {f"conv{i}": nn.Conv2d(2, 2, 1) for i in range(9)}
        )
        self.backbone["norm"] = nn.BatchNorm2d(2)
        self.backbone["layers"] = nn.Sequential(
            *(nn.Linear(2, 2) for _ in range(layers))
        )
        self.backbone.register_buffer("indices", torch.arange(4))
        for name, child in children.items():
            self.add_module(name, child)


def without(state_dict, *starts):
    return {k: v for k, v in state_dict.items() if not k.startswith(starts)}


def refusal(model, weights, **stage):
    with pytest.raises(CheckpointError) as caught:
        check_coverage(model, weights, "a.pth", **stage)
    return str(caught.value)


@pytest.mark.parametrize("children", [{}, dict(head=nn.Linear(1, 1))])
def test_one_key_that_would_stay_at_random_is_refused_in_a_test(children):
    lost = "head.bias" if children else "backbone.conv3.bias"
    weights = without(Net(**children).state_dict(), lost)
    message = refusal(Net(**children), weights, testing=True)
    assert f"keys untrained: missing keys: {lost} (" in message
    assert "would leave 1 of the model's" in message


def test_a_key_that_starts_as_a_constant_may_be_missing_in_a_test(log):
    check_coverage(
        Net(),
        without(Net().state_dict(), "backbone.norm.weight"),
        "a.pth",
        testing=True,
    )
    assert log[-1] == "a.pth: missing keys: backbone.norm.weight"


def test_a_table_that_the_constructor_computes_may_be_missing(log):
    weights = without(Net().state_dict(), "backbone.indices")
    check_coverage(Net(), weights, "a.pth", testing=True)
    check_coverage(Net(), weights, "a.pth", resuming=True)
    weights["backbone.indices"] = torch.arange(9)  # of another window
    check_coverage(Net(), weights, "a.pth", testing=True)
    assert log[-1] == "a.pth: keys of another shape: backbone.indices"


def test_an_auxiliary_head_may_be_missing_in_a_test_and_not_when_resuming(log):
    net = Net(auxiliary_head=nn.Linear(2, 2), head=nn.Linear(2, 2))
    weights = net.state_dict()
    check_coverage(net, without(weights, "auxiliary_head."), "a.pth", testing=True)
    assert log[-1] == "a.pth: missing keys: auxiliary_head.bias, auxiliary_head.weight"
    for lost, stage in (("head.", "testing"), ("auxiliary_head.", "resuming")):
        message = refusal(net, without(weights, lost), **{stage: True})
        assert f"missing keys: all of {lost[:-1]} (" in message


def test_a_resumed_training_needs_every_parameter():
    weights = without(Net().state_dict(), "backbone.norm.weight")
    message = refusal(Net(), weights, resuming=True)
    assert "can't be resumed" in message
    assert "missing keys: backbone.norm.weight; load_from=PATH starts" in message
    check_coverage(Net(), without(Net().state_dict(), START), "a.pth")


def test_a_resumed_training_needs_every_shape():
    weights = Net().state_dict() | {"backbone.conv3.weight": torch.ones(4, 2, 1, 1)}
    for stage in ("resuming", "testing"):
        message = refusal(Net(), weights, **{stage: True})
        assert "its backbone.conv3.weight is (4, 2, 1, 1), the model's is" in message


@pytest.mark.parametrize(
    ("cfg", "is_identity"),
    [
        (dict(type="nlse_mm.NonLocal2d"), True),
        (dict(type="nlse_mm.NonLocal2d", norm_cfg=dict(type="BN")), True),
        (dict(type="nlse_mm.SELayer", zero_init=True), True),
        (dict(type="nlse_mm.SELayer"), False),
        (dict(type="nlse_mm.NonLocal2d", zeros_init=False), False),
    ],
)
def test_a_plugin_may_be_missing_in_a_test_if_it_changes_nothing(cfg, is_identity):
    plugin = MODELS.build(dict(cfg, in_channels=16))
    name = f"{plugin._abbr_}_2"
    net, weights = Net(**{name: plugin}), Net().state_dict()
    if is_identity:
        check_coverage(net, weights, "a.pth", testing=True)
    else:
        message = refusal(net, weights, testing=True)
        assert f"change what the rest computes: {name} (" in message
    check_coverage(net, weights, "a.pth")
    assert f"all of these plugins: {name} (" in refusal(net, weights, resuming=True)


def test_more_of_a_sequence_of_layers_is_another_model_and_a_part_beside_is_not(log):
    deeper = Net(layers=18).state_dict()
    for stage in ("testing", "resuming"):
        message = refusal(Net(), deeper, **{stage: True})
        assert "41 of the model's 41 keys match, and 18 of its own are" in message
        assert "such as backbone.layers.10.bias" in message
    more = Net(
        head=nn.Sequential(*(nn.Linear(2, 2) for _ in range(30))),
        discriminator=nn.Linear(2, 2),
    ).state_dict()
    more |= {"backbone.fc.weight": torch.ones(3), "steps": torch.tensor(3)}
    check_coverage(Net(), more, "a.pth", testing=True)
    assert "unexpected keys: backbone.fc.weight, discriminator." in log[-1]


def test_a_model_that_is_a_sequence_is_not_a_part_of_a_longer_one():
    layers = [nn.Linear(2, 2) for _ in range(6)]
    weights = nn.Sequential(*layers).state_dict()
    message = refusal(nn.Sequential(*layers[:3]), weights, testing=True)
    assert "such as 3.bias" in message


def test_what_is_no_tensor_is_named():
    weights = Net().state_dict()
    weights["backbone.conv3.bias"] = weights["backbone.conv3.bias"].numpy()
    message = refusal(Net(), weights, testing=True)
    assert "a.pth has a ndarray as backbone.conv3.bias, not a tensor (" in message
    check_coverage(Net(), weights, "a.pth")
