"""Tracers, converters and hooks in backbones with our blocks, as in the stock ones."""

import copy
import subprocess
import sys

import pytest
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from mmengine.registry import MODELS
from torch import nn

X = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
BLOCK = dict(type="nlse_mm.NonLocal2d", zeros_init=False, std=0.2, sub_sample=True)
NARROW = dict(base_channels=16)
BACKBONES = {
    "se18": dict(type="nlse_mm.SEResNet", depth=18, **NARROW),
    "se50_3x3": dict(type="nlse_mm.SEResNet", depth=50, se_position="3x3", **NARROW),
    "se50_identity": dict(
        type="nlse_mm.SEResNet", depth=50, se_position="identity", **NARROW
    ),
    "nl18": dict(
        type="nlse_mm.ResNet",
        depth=18,
        plugins=[dict(cfg=BLOCK, position="after_block", blocks=(-1,))],
        **NARROW,
    ),
    "output": dict(
        type="nlse_mm.WithPlugins",
        base="ResNet",
        depth=18,
        plugins=[dict(cfg=BLOCK, output=2)],
        **NARROW,
    ),
    "after": dict(
        type="nlse_mm.WithPlugins",
        base="ResNet",
        depth=18,
        plugins=[dict(cfg=dict(type="nlse_mm.SELayer"), after="layer2.1")],
        **NARROW,
    ),
}
each_backbone = pytest.mark.parametrize("name", BACKBONES)


def build(name):
    backbone = MODELS.build(BACKBONES[name])
    backbone.eval()
    return backbone


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@each_backbone
def test_efficient_conv_bn_eval_works_and_changes_nothing(name, in_mmdet):
    backbone = build(name)
    expected = backbone(X)
    model = nn.ModuleDict(dict(backbone=backbone))
    turn_on_efficient_conv_bn_eval(model, ["backbone"])
    assert "forward" in vars(backbone)
    assert_same(backbone(X), expected)
    sum(out.sum() for out in backbone(X)).backward()
    assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)


@each_backbone
def test_torch_fx_traces_it_whole(name, in_mmdet):
    backbone = build(name)
    graph = torch.fx.symbolic_trace(backbone)
    larger = torch.randn(1, 3, 96, 128)
    for x in (X, larger):
        assert_same(graph(x), backbone(x))


def test_traced_backbones_run_where_we_are_unknown(in_mmdet, tmp_path):
    expected = {}
    larger = torch.randn(1, 3, 96, 128)
    for name in BACKBONES:
        backbone = build(name)
        torch.jit.trace(backbone, X, check_trace=False).save(tmp_path / f"{name}.pt")
        expected[name] = [t.detach() for x in (X, larger) for t in backbone(x)]
    torch.save((X, larger), tmp_path / "inputs")
    code = f"""
import sys
from pathlib import Path
import torch
found = {{}}
for path in Path({str(tmp_path)!r}).glob("*.pt"):
    model = torch.jit.load(path)
    found[path.stem] = [t for x in torch.load(path.parent / "inputs") for t in model(x)]
torch.save(found, path.parent / "found")
assert "nlse_mm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    found = torch.load(tmp_path / "found")
    for name, outputs in expected.items():
        assert_same(found[name], outputs)


def test_the_excitations_are_counted(in_mmdet):
    plain = MODELS.build(dict(type="ResNet", depth=18, **NARROW))
    counts = []
    for backbone in (plain, build("se18")):
        backbone.eval()
        counts.append(FlopAnalyzer(backbone, X))
    backbone = build("se18")
    layers = [m for m in backbone.modules() if type(m).__name__ == "SELayer"]
    weights = sum(p.numel() for m in layers for p in m.parameters() if p.dim() > 1)
    maps = []
    for layer in layers:
        layer.register_forward_hook(lambda m, i, o: maps.append(o.numel()))
    backbone(X)
    # The products of two images, and a number read for each of the maps' means.
    excitations = len(X) * weights + sum(maps)
    assert counts[1].total() - counts[0].total() == excitations
    assert not counts[1].uncalled_modules()


@pytest.mark.parametrize("inside", ["conv1", "conv2.conv", "conv2.activate"])
def test_a_hook_inside_an_se_layer_is_called_at_the_end_of_a_block(inside, in_mmdet):
    backbone = build("se18")
    expected = backbone(X)
    seen = []
    layer = backbone.layer1[0].se_layer.get_submodule(inside)
    layer.register_forward_hook(lambda m, i, o: seen.append(o.shape))
    assert_same(backbone(X), expected)
    assert len(seen) == 1


def test_a_global_hook_sees_every_module_of_an_se_backbone(in_mmdet):
    backbone = build("se18")
    called = set()
    handle = nn.modules.module.register_module_forward_hook(
        lambda m, i, o: called.add(m)
    )
    try:
        backbone(X)
    finally:
        handle.remove()
    assert called >= {m for m in backbone.modules() if not m._modules}


class KeepsItsOutput(nn.Module):
    """A norm whose backward pass reads what it returned, as in-place ones do."""

    def forward(self, x):
        return x.sigmoid()


def test_an_output_that_its_norm_needs_is_not_overwritten(in_mmdet):
    backbone = build("se18")
    block = backbone.layer1[0]
    block.bn2 = KeepsItsOutput()
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    block(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", ["se18", "nl18", "output", "after"])
def test_channels_last_goes_through(name, in_mmdet):
    backbone = build(name)
    expected = copy.deepcopy(backbone)(X)
    backbone = backbone.to(memory_format=torch.channels_last)
    outputs = backbone(X.to(memory_format=torch.channels_last))
    assert_same(outputs, expected)
    for out in outputs:
        assert out.is_contiguous(memory_format=torch.channels_last)
