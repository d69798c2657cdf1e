"""Counters, tracers, exporters and transforms get from our blocks what stock's give."""

import subprocess
import sys

import pytest
import torch
from mmcv.cnn import ConvModule
from mmcv.cnn import NonLocal2d as Stock
from mmengine.analysis import ActivationAnalyzer, FlopAnalyzer
from this_pytorch import needs_custom_ops, needs_open_sizes
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nlse_mm.plugins import NonLocal1d, NonLocal2d, NonLocal3d, SELayer, SelfAttention2d

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
each_mode = pytest.mark.parametrize("mode", MODES)
sub_sampled = pytest.mark.parametrize("sub_sample", [False, True])


class PlainSE(nn.Module):
    """As MMDetection and MMPretrain have it."""

    def __init__(self):
        super().__init__()
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(16, 8, 1)
        self.conv2 = ConvModule(8, 16, 1, act_cfg=dict(type="Sigmoid"))

    def forward(self, x):
        return x * self.conv2(self.conv1(self.global_avgpool(x)))


def at_work(block):
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


def flops(block, x, backward=False):
    with FlopCounterMode(display=False) as counter:
        out = block(x.clone().requires_grad_())
        if backward:
            out.sum().backward()
    return counter


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian", "concatenation"])
@sub_sampled
def test_counters_count_what_they_count_in_mmcvs_block(mode, sub_sample):
    x = torch.rand(2, 16, 6, 8)
    stock, ours = (c(16, mode=mode, sub_sample=sub_sample) for c in (Stock, NonLocal2d))
    for analyzer in (FlopAnalyzer, ActivationAnalyzer):
        found, expected = (analyzer(b, x) for b in (ours, stock))
        assert found.by_module() == expected.by_module()
        assert not found.uncalled_modules()


@needs_custom_ops
@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian", "concatenation"])
@sub_sampled
def test_pytorchs_counter_counts_what_it_counts_in_mmcvs_block(mode, sub_sample):
    x = torch.rand(2, 16, 6, 8)
    stock, ours = (c(16, mode=mode, sub_sample=sub_sample) for c in (Stock, NonLocal2d))
    # MMCV's concatenation can't go backward.
    backward = mode != "concatenation"
    found, expected = (flops(b, x, backward) for b in (ours, stock))
    assert found.get_total_flops() == expected.get_total_flops()
    layers = ("theta", "phi", "g", "conv_out", "concat_project")
    counts = [
        {
            name: sum(count.values())
            for name, count in c.get_flop_counts().items()
            if name.split(".")[-1] in layers
        }
        for c in (found, expected)
    ]
    assert counts[0] == counts[1]


def test_the_count_of_the_issue():
    assert FlopAnalyzer(NonLocal2d(16), torch.rand(1, 16, 32, 32)).total() == 17301504


def test_a_dot_product_is_counted_in_the_order_in_which_it_is_computed():
    x = torch.rand(1, 16, 32, 32)
    layers = 4 * 16 * 8 * 1024
    key_value_first = 2 * 1024 * 8 * 8
    block = NonLocal2d(16, mode="dot_product")
    assert FlopAnalyzer(block, x).total() == layers + key_value_first
    assert flops(block, x).get_total_flops() == 2 * (layers + key_value_first)


def test_counters_count_what_they_count_in_a_plain_se_layer():
    x, ours, stock = torch.rand(2, 16, 6, 8), SELayer(16, reduction=2), PlainSE()
    for analyzer in (FlopAnalyzer, ActivationAnalyzer):
        found, expected = (dict(analyzer(b, x).by_module()) for b in (ours, stock))
        expected.pop("global_avgpool", None)  # a layer there, part of the layer here
        assert found == expected
    found, expected = (flops(b, x, True).get_total_flops() for b in (ours, stock))
    assert found == expected


BLOCKS = {
    **{
        f"{mode}{'_sub' * sub}": lambda mode=mode, sub=sub: NonLocal2d(
            12, mode=mode, sub_sample=sub, norm_cfg=dict(type="BN")
        )
        for mode in MODES
        for sub in (False, True)
    },
    "pool_first": lambda: NonLocal2d(12, sub_sample=True, pool_first=True),
    "se": lambda: SELayer(12, reduction=2),
    "se_zero_init": lambda: SELayer(12, reduction=2, zero_init=True),
    **{
        f"self_attention_{encoding}{'_content' * content}": (
            lambda encoding=encoding, content=content: SelfAttention2d(
                12, num_heads=3, encoding=encoding, content=content
            )
        )
        for encoding in ("quadratic", "quadratic_full", "learned")
        for content in (False, True)
    },
}
SIZES = ((2, 12, 6, 8), (3, 12, 9, 5), (1, 12, 30, 20))


def test_traced_blocks_run_in_a_process_that_does_not_know_us_at_any_size(tmp_path):
    inputs = [torch.randn(size) for size in SIZES]
    expected = {}
    for name, make in BLOCKS.items():
        block = at_work(make())
        traced = torch.jit.trace(block, inputs[0], check_trace=False)
        traced.save(tmp_path / f"{name}.pt")
        expected[name] = [block(x).detach() for x in inputs]
    torch.save(inputs, tmp_path / "inputs")
    code = f"""
import sys
from pathlib import Path
import torch
found = {{}}
for path in sorted(Path({str(tmp_path)!r}).glob("*.pt")):
    block = torch.jit.load(path)
    found[path.stem] = [block(x) for x in torch.load(path.parent / "inputs")]
torch.save(found, path.parent / "found")
assert "nlse_mm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    found = torch.load(tmp_path / "found")
    assert found.keys() == expected.keys()
    for name, outputs in expected.items():
        for a, b in zip(found[name], outputs, strict=True):
            torch.testing.assert_close(
                a, b, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: n + m
            )


@pytest.mark.parametrize("name", [n for n in BLOCKS if "self" not in n])
@pytest.mark.parametrize("train", [False, True])
def test_torch_fx_traces_a_block_and_keeps_our_operations(name, train):
    block = at_work(BLOCKS[name]()).train(train)
    graph = torch.fx.symbolic_trace(block)
    names = {str(node.target) for node in graph.graph.nodes}
    assert any("conv1" in n or "conv_out" in n for n in names)
    assert "softmax" not in names
    for size in SIZES:
        x = torch.randn(size)
        torch.testing.assert_close(graph(x), block(x), rtol=1e-4, atol=1e-5)


@needs_open_sizes
@pytest.mark.parametrize("size", [(4, 5), (30, 40)], ids=str)
def test_one_exported_dot_product_serves_sizes_of_either_order(size):
    block = at_work(NonLocal2d(64, mode="dot_product"))
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        block,
        (torch.randn(2, 64, *size),),
        dynamic_shapes=({0: auto, 2: auto, 3: auto},),
    ).module()
    for other in ((2, 2), (4, 5), (30, 40)):
        x = torch.randn(3, 64, *other)
        torch.testing.assert_close(program(x), block(x), rtol=1e-4, atol=1e-4)


def test_one_compiled_dot_product_serves_sizes_of_either_order():
    block = at_work(NonLocal2d(64, mode="dot_product"))
    torch._dynamo.reset()
    compiled = torch.compile(block, fullgraph=True, backend="eager", dynamic=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for size in ((3, 4), (30, 40), (5, 6)):
            x = torch.randn(2, 64, *size)
            torch.testing.assert_close(compiled(x), block(x), rtol=1e-4, atol=1e-4)


def test_an_exported_block_consists_of_its_layers():
    """A quantiser, or an engine that folds norms, looks for convolutions."""
    block = at_work(NonLocal2d(12, sub_sample=True, norm_cfg=dict(type="BN")))
    program = torch.export.export(block, (torch.randn(SIZES[0]),))
    convolutions = [
        n
        for n in program.graph.nodes
        if n.op == "call_function" and "conv" in str(n.target)
    ]
    assert len(convolutions) == 4


@each_mode
def test_transforms_see_the_formula(mode):
    block = at_work(NonLocal2d(4, mode=mode)).double()
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64)
    slope = torch.randn_like(x)
    given = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad((block(given) * slope).sum(), given)
    close = dict(rtol=1e-10, atol=1e-10)
    found = torch.func.grad(lambda x: (block(x) * slope).sum())(x)
    torch.testing.assert_close(found, expected, **close)
    many = torch.vmap(block)(torch.stack([x, 2 * x]))
    torch.testing.assert_close(many, torch.stack([block(x), block(2 * x)]), **close)
    along = torch.randn_like(x)
    step = 1e-6
    numerical = (block(x + step * along) - block(x - step * along)) / (2 * step)
    _, tangent = torch.func.jvp(block, (x,), (along,))
    torch.testing.assert_close(tangent, numerical, rtol=1e-5, atol=1e-7)
    with torch.autograd.forward_ad.dual_level():
        dual = block(torch.autograd.forward_ad.make_dual(x, along))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, numerical, rtol=1e-5, atol=1e-7)


@each_mode
def test_a_gradient_penalty_goes_through_a_block(mode):
    block = at_work(NonLocal2d(4, mode=mode, sub_sample=True)).double()
    x = torch.randn(2, 4, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(block, (x,))


def test_transforms_of_the_end_of_an_excited_block():
    layer = at_work(SELayer(8, reduction=2)).double()
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64)

    def end(x):
        return layer.excite_add_relu(x * 1.0, x)

    given = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(end(given).sum(), given)
    torch.testing.assert_close(torch.func.grad(lambda x: end(x).sum())(x), expected)
    many = torch.vmap(end)(torch.stack([x, 2 * x]))
    torch.testing.assert_close(many, torch.stack([end(x), end(2 * x)]))


@pytest.mark.parametrize("name", BLOCKS)
def test_shapes_alone_go_through(name):
    x = torch.randn(SIZES[0], device="meta")
    assert at_work(BLOCKS[name]()).to("meta")(x).shape == x.shape


@pytest.mark.parametrize(
    ("cls", "size"), [(NonLocal1d, 2), (NonLocal2d, (2, 2)), (NonLocal3d, (1, 2, 2))]
)
def test_the_pooling_is_written_as_mmcv_writes_it(cls, size):
    for mode in MODES:
        block = cls(4, mode=mode, sub_sample=True)
        assert block.g[1].kernel_size == size
        pool = block.phi if mode == "gaussian" else block.phi[1]
        assert pool is block.g[1]
