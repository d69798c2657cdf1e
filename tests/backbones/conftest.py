"""Weights for ``init_cfg`` that need no file."""

import pytest
from mmengine.runner.checkpoint import CheckpointLoader


@pytest.fixture
def named():
    """Give a checkpoint a name that ``init_cfg`` takes."""
    checkpoints = {}

    def name(checkpoint):
        checkpoints[f"memory://{len(checkpoints)}"] = checkpoint
        return list(checkpoints)[-1]

    CheckpointLoader.register_scheme(
        "memory://", lambda filename, map_location: checkpoints[filename], force=True
    )
    yield name
    del CheckpointLoader._schemes["memory://"]


def as_timm(key):
    """A parameter of ours as timm's ResNet calls it."""
    key = key.replace("se_layer.conv1.conv", "se.fc1")
    key = key.replace("se_layer.conv2.conv", "se.fc2")
    return key.replace("stem.7.", "bn1.").replace("stem.", "conv1.")


def as_legacy(key):
    """A parameter of ours as Cadene's port of the authors' weights calls it."""
    key = key.replace("se_layer.conv1.conv", "se_module.fc1")
    key = key.replace("se_layer.conv2.conv", "se_module.fc2")
    stem = {f"stem.{3 * i}.": f"conv{i + 1}." for i in range(3)}
    stem |= {f"stem.{3 * i + 1}.": f"bn{i + 1}." for i in range(3)}
    for mine, theirs in stem.items():
        key = key.replace(mine, theirs)
    return key if key.startswith("layer") else f"layer0.{key}"


@pytest.fixture
def renamed():
    """Weights of ours as each family publishes them, its classifier included."""

    def rename(weights, family):
        classifier = "last_linear" if family == "timm-legacy" else "fc"
        name = {
            "timm": as_timm,
            "timm-legacy": as_legacy,
            "mmpretrain": lambda key: f"backbone.{key}",
            "torchvision": lambda key: key,
        }[family]
        if family == "mmpretrain":
            classifier = "head.fc"
        weights = {name(key): value for key, value in weights.items()}
        return weights | {f"{classifier}.weight": None, f"{classifier}.bias": None}

    return rename
