"""Key names of published weights, as their files have them, and ours."""

import pytest

from nlse_mm.checkpoint.conversion.families import FAMILIES, family_of, our_names
from nlse_mm.errors import CheckpointError

# From the state dicts of timm 1.0.31 and MMPretrain 1.2.0. None: not the backbone's.
NAMES = {
    "timm": {
        "conv1.weight": "conv1.weight",
        "bn1.running_mean": "bn1.running_mean",
        "layer1.0.conv1.weight": "layer1.0.conv1.weight",
        "layer1.0.se.fc1.weight": "layer1.0.se_layer.conv1.conv.weight",
        "layer3.22.se.fc2.bias": "layer3.22.se_layer.conv2.conv.bias",
        "layer2.0.downsample.1.weight": "layer2.0.downsample.1.weight",
        "fc.weight": None,
    },
    "timm, deep stem": {
        "conv1.0.weight": "stem.0.weight",
        "conv1.1.running_var": "stem.1.running_var",
        "conv1.4.bias": "stem.4.bias",
        "conv1.6.weight": "stem.6.weight",
        "bn1.weight": "stem.7.weight",
        "layer1.0.bn1.weight": "layer1.0.bn1.weight",
        "layer1.0.se.fc1.bias": "layer1.0.se_layer.conv1.conv.bias",
    },
    "timm-legacy": {
        "layer0.conv1.weight": "conv1.weight",
        "layer0.bn1.bias": "bn1.bias",
        "layer1.0.se_module.fc1.weight": "layer1.0.se_layer.conv1.conv.weight",
        "layer4.2.se_module.fc2.bias": "layer4.2.se_layer.conv2.conv.bias",
        "layer2.0.downsample.0.weight": "layer2.0.downsample.0.weight",
        "last_linear.weight": None,
    },
    "timm-legacy, SENet-154": {
        "layer0.conv1.weight": "stem.0.weight",
        "layer0.bn1.weight": "stem.1.weight",
        "layer0.conv2.weight": "stem.3.weight",
        "layer0.bn2.running_mean": "stem.4.running_mean",
        "layer0.conv3.weight": "stem.6.weight",
        "layer0.bn3.bias": "stem.7.bias",
        "layer1.0.conv3.weight": "layer1.0.conv3.weight",
    },
    "mmpretrain": {
        "conv1.weight": "conv1.weight",
        "layer1.0.se_layer.conv1.conv.weight": "layer1.0.se_layer.conv1.conv.weight",
        "head.fc.weight": None,
    },
    "torchvision": {
        "conv1.weight": "conv1.weight",
        "layer4.2.bn3.weight": "layer4.2.bn3.weight",
        "layer1.0.conv1.weight": "layer1.0.conv1.weight",
        "fc.bias": None,
    },
}


@pytest.mark.parametrize(("case", "names"), NAMES.items(), ids=list(NAMES))
def test_each_key_gets_our_name(case, names):
    family = case.split(",")[0]
    assert family_of(names, "a.pth") == family
    ours = {theirs: mine for theirs, mine in names.items() if mine is not None}
    assert our_names(names, family) == ours


def test_every_family_has_a_case():
    assert {case.split(",")[0] for case in NAMES} == set(FAMILIES)


@pytest.mark.parametrize("source", ["timm", "mmpretrain"])
def test_without_se_layers_a_family_may_be_said(source):
    names = NAMES["torchvision"]
    assert family_of(names, "a.pth", source) == source
    assert our_names(names, source) == our_names(names, "torchvision")


@pytest.mark.parametrize(
    ("case", "source"),
    [
        ("timm", "timm-legacy"),
        ("timm", "mmpretrain"),
        ("timm-legacy", "timm"),
        ("mmpretrain", "timm"),
        ("torchvision", "timm-legacy"),
    ],
)
def test_a_family_that_the_keys_deny_is_refused(case, source):
    with pytest.raises(CheckpointError, match=f"holds no weights of {source}: "):
        family_of(NAMES[case], "a.pth", source)


def test_a_source_that_is_no_family_is_refused():
    with pytest.raises(ValueError, match="source='caffe' is not one of"):
        family_of(NAMES["timm"], "a.pth", "caffe")
