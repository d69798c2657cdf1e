"""Exported blocks compute what the blocks do, at any size, and never make the map.

One file serves all sizes, so all tests of a mode ask the same one.
"""

import io
import json
import math
import warnings
from functools import cache
from itertools import product

import pytest
import torch
from live import Live
from mmengine.analysis import FlopAnalyzer
from this_pytorch import OLD_EXPORTER, needs_open_sizes
from torch import nn

from nlse_mm import ops
from nlse_mm.ops.exported_softmax import QUERY_BLOCK
from nlse_mm.plugins import NonLocal1d, NonLocal2d, NonLocal3d
from nlse_mm.plugins.non_local import MODES

pytestmark = needs_open_sizes
C = 16
EXAMPLE = (8, 10)
# Below and above the example's; 256 queries are whole blocks, 35 and 399 are not.
SIZES = ((5, 7), (16, 16), (19, 21))
LARGE = (40, 52)
each_form = pytest.mark.parametrize(
    ("mode", "sub_sample"), list(product(MODES, (False, True))), ids=str
)
with_map = pytest.mark.parametrize("mode", [m for m in MODES if m != "dot_product"])
each_format = pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=str
)


@cache
def block_of(mode, sub_sample=False, cls=NonLocal2d):
    torch.manual_seed(0)
    norm = dict(type=f"BN{cls.__name__[-2]}d")
    block = cls(C, mode=mode, sub_sample=sub_sample, norm_cfg=norm)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


def open_sizes(x):
    free = (0, *range(2, x.dim()))
    return (dict.fromkeys(free, torch.export.Dim.AUTO),)


def export(block, x, **how):
    return torch.export.export(block, (x,), dynamic_shapes=open_sizes(x), **how)


@cache
def program_of(mode, sub_sample=False, memory_format=torch.contiguous_format):
    x = torch.randn(2, C, *EXAMPLE).to(memory_format=memory_format)
    return export(block_of(mode, sub_sample), x).module()


def onnx_file(model, x, **how):
    pytest.importorskip("onnxscript")
    file = io.BytesIO()
    torch.onnx.export(model, (x,), file, verbose=False, **how)
    return file.getvalue()


@cache
def onnx_of(mode, sub_sample=False):
    x = torch.randn(2, C, *EXAMPLE)
    block = block_of(mode, sub_sample)
    return onnx_file(block, x, dynamo=True, dynamic_shapes=open_sizes(x))


def run_onnx(file, x, options=None):
    session = pytest.importorskip("onnxruntime").InferenceSession(file, options)
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return session, torch.from_numpy(out)


def assert_equal(run, block, sizes=SIZES, channels=C):
    with torch.no_grad():
        for batch, size in product((1, 3), sizes):
            x = torch.randn(batch, channels, *size)
            expected = block(x)
            assert (run(x) - expected).abs().max() <= 1e-5 * expected.abs().max(), size


@each_form
def test_an_exported_block_is_the_block_at_sizes_it_never_saw(mode, sub_sample):
    assert_equal(program_of(mode, sub_sample), block_of(mode, sub_sample))


@each_form
def test_onnxruntime_computes_the_block_at_sizes_it_never_saw(mode, sub_sample):
    file = onnx_of(mode, sub_sample)
    assert_equal(lambda x: run_onnx(file, x)[1], block_of(mode, sub_sample))


@pytest.mark.parametrize("mode", ["embedded_gaussian", "concatenation"])
@pytest.mark.parametrize(
    ("cls", "example", "sizes"),
    [
        (NonLocal1d, (14,), ((5,), (300,))),
        (NonLocal3d, (3, 8, 10), ((4, 5, 7), (5, 9, 12))),
    ],
    ids=["1d", "3d"],
)
def test_so_do_sequences_and_volumes(mode, cls, example, sizes):
    block = block_of(mode, True, cls)
    x = torch.randn(2, C, *example)
    assert_equal(export(block, x).module(), block, sizes)
    file = onnx_file(block, x, dynamo=True, dynamic_shapes=open_sizes(x))
    assert_equal(lambda x: run_onnx(file, x)[1], block, sizes)


@with_map
def test_a_strict_export_is_the_block(mode):
    block = block_of(mode, True)
    program = export(block, torch.randn(2, C, *EXAMPLE), strict=True).module()
    assert_equal(program, block)
    assert largest(program, torch.randn(1, C, *LARGE)) < weights(True) / 8


@each_form
@pytest.mark.parametrize("gradients", [False, True])
def test_no_operator_of_an_exported_block_returns_a_map(mode, sub_sample, gradients):
    program = program_of(mode, sub_sample)
    with torch.set_grad_enabled(gradients):
        assert largest(program, torch.randn(1, C, *LARGE)) < weights(sub_sample) / 8


@with_map
@each_format
def test_whatever_the_formats_of_example_and_input_no_map_is_made(mode, memory_format):
    program = program_of(mode, False, memory_format)
    for given in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(1, C, *LARGE).to(memory_format=given)
        assert largest(program, x) < weights() / 8
        torch.testing.assert_close(program(x), block_of(mode)(x), rtol=1e-4, atol=1e-5)


def largest(run, x):
    """Return the bytes of the largest tensor that an operator returns."""
    with Live() as live:
        run(x)
    assert live.largest >= x.nbytes / 4  # something was counted
    return live.largest


def weights(sub_sample=False):
    """Return the bytes of the map of weights of one image of the size ``LARGE``."""
    return 4 * math.prod(LARGE) ** 2 // (4 if sub_sample else 1)


@each_form
def test_no_node_in_onnxruntime_returns_a_map(mode, sub_sample, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    file = onnx_of(mode, sub_sample)
    session, _ = run_onnx(file, torch.randn(1, C, *LARGE), options)
    with open(session.end_profiling()) as stream:
        runs = [event.get("args", {}) for event in json.load(stream)]
    # Of the nodes in a Scan as well: each of its runs is an event of its own.
    counts = [
        math.prod(shape)
        for run in runs
        for output in run.get("output_type_shape", ())
        for shape in output.values()
    ]
    assert max(counts) >= C * math.prod(LARGE)
    assert 4 * max(counts) < weights(sub_sample) / (4 if sub_sample else 8)
    if "gaussian" in mode:
        softmaxes = [run for run in runs if run.get("op_name") == "Softmax"]
        assert len(softmaxes) == -(-math.prod(LARGE) // QUERY_BLOCK)


class Attention(nn.Module):
    """Softmax attention with other channels of values than of queries and keys."""

    def __init__(self, split):
        super().__init__()
        self.split = split

    def forward(self, x):
        query, key, value = x.flatten(2).transpose(1, 2).split(self.split, dim=2)
        return ops.softmax_attention(query, key, value, 0.4)


@pytest.mark.parametrize("split", [(4, 4, 7), (7, 7, 4)], ids=str)
def test_values_may_have_other_channels_than_keys(split):
    model, channels = Attention(split), sum(split)
    program = export(model, torch.randn(2, channels, *EXAMPLE)).module()
    assert_equal(program, model, channels=channels)
    (heads,) = (n.args[0] for n in program.graph.nodes if "scaled_dot" in str(n.target))
    assert heads.meta["val"].shape[3] == 8  # a GPU's kernels want multiples of 8
    with torch.no_grad():
        assert largest(program, torch.randn(1, channels, *LARGE)) < weights() / 8


@pytest.mark.parametrize("mode", ["gaussian", "concatenation"])
def test_a_program_of_torch_export_goes_to_onnx_too(mode):
    block, x = block_of(mode), torch.randn(2, C, *EXAMPLE)
    file = io.BytesIO()
    torch.onnx.export(export(block, x), (), file, dynamo=True, verbose=False)
    assert_equal(lambda x: run_onnx(file.getvalue(), x)[1], block)


def test_gradients_go_through_an_exported_block():
    x = torch.randn(2, C, 9, 11, requires_grad=True)
    found, expected = (
        torch.autograd.grad(run(x).square().sum(), x)[0]
        for run in (program_of("gaussian", True), block_of("gaussian", True))
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@with_map
def test_what_records_the_formula_says_so_in_one_line(mode):
    block, x = block_of(mode), torch.randn(2, C, 32, 32)
    line = r"2 x 1024 x 1024 weights, 8 MiB at this size [^\n]*$"
    with pytest.warns(
        torch.jit.TracerWarning, match="the TorchScript tracer .*" + line
    ):
        torch.jit.trace(block, x, check_trace=False)
    with pytest.warns(
        torch.jit.TracerWarning, match="the TorchScript tracer .*" + line
    ):
        onnx_file(block, x, **OLD_EXPORTER)


@with_map
def test_what_is_linear_warns_of_nothing_and_nor_do_counters(mode):
    block, x = block_of(mode), torch.randn(2, C, *EXAMPLE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        export(block, x)
        onnx_file(block, x, dynamo=True, dynamic_shapes=open_sizes(x))
        FlopAnalyzer(block, x).total()
    assert not [w for w in caught if "weights" in str(w.message)]
