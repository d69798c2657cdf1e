"""What holds for every config that the project ships."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from nlse_mm.toolbox import why_broken

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(
    p for p in CONFIGS.rglob("*.py") if "_base_" not in p.relative_to(CONFIGS).parts
)
NAMES = [p.relative_to(CONFIGS).with_suffix("").as_posix() for p in LEAVES]


@pytest.mark.parametrize("leaf", LEAVES, ids=NAMES)
def test_it_builds(leaf, read_config):
    config = read_config(leaf)
    scope = config.default_scope
    pytest.importorskip(scope)
    if why := why_broken(scope, "MODELS"):
        pytest.skip(why)
    # WithPlugins runs what it builds, and MMPretrain computes its rates of stochastic
    # depth; all others need no numbers, only shapes.
    runs = config.model.backbone.type == "nlse_mm.WithPlugins" or scope == "mmpretrain"
    device = torch.device("cpu" if runs else "meta")
    with DefaultScope.overwrite_default_scope(scope), device:
        model = MODELS.build(config.model)
    ours = ("nlse_mm.NonLocal", "nlse_mm.SE", "nlse_mm.NLHead")
    plugged = any(name in str(config.model.to_dict()) for name in ours)
    added = [
        n
        for n, _ in model.named_modules()
        if n.split(".")[-1].startswith(("nonlocal_block", "nl_block", "se_layer"))
    ]
    assert bool(added) == plugged


@pytest.mark.parametrize("leaf", LEAVES, ids=NAMES)
def test_its_header_has_the_command_that_runs_it(leaf):
    path = leaf.relative_to(CONFIGS.parent).as_posix()
    header = leaf.read_text().split("\n\n")[0]
    assert f" {path}" in header


@pytest.mark.parametrize("leaf", LEAVES, ids=NAMES)
def test_it_is_a_short_difference_from_its_base(leaf):
    lines = [line for line in leaf.read_text().splitlines() if line and line[0] != "#"]
    assert lines[0].startswith("_base_")
    assert len(lines) <= 40


@pytest.mark.parametrize("leaf", LEAVES, ids=NAMES)
def test_its_scope_stays_the_toolboxs(leaf, read_config):
    assert read_config(leaf).default_scope in (
        "mmdet",
        "mmseg",
        "mmaction",
        "mmpretrain",
    )
