"""MMCV's blocks in a built model compute as ours, and stay what they were."""

import copy
import logging
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from mmcv.cnn import NonLocal2d
from mmengine.model import revert_sync_batchnorm
from stock_blocks import CLASSES, Model, each_mode, image
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import nlse_mm
from nlse_mm.analysis import attention_blocks
from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS
from nlse_mm.placement.add_plugins import add_plugins
from nlse_mm.placement.linear_non_local import use_linear_non_local

CLOSE = dict(rtol=1e-4, atol=1e-4)


def step(model, x):
    """Return the loss, the output and all gradients."""
    model.zero_grad()
    out = model(x)
    loss = (out.sin() * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    return dict(loss=loss.detach(), out=out.detach(), **gradients)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("dims", CLASSES)
@each_mode
@pytest.mark.parametrize(
    "kwargs", [{}, dict(sub_sample=True, norm=True), dict(use_scale=False)], ids=str
)
def test_values_and_gradients_stay(dims, mode, kwargs):
    kwargs = dict(kwargs, mode=mode)
    if kwargs.pop("norm", False):
        kwargs["norm_cfg"] = dict(type=f"BN{dims}d")
    stock = Model(CLASSES[dims](6, **kwargs), dims)
    x = image(dims)
    for train in (True, False):
        stock.train(train)
        linear = copy.deepcopy(stock)
        assert use_linear_non_local(linear) == 1
        if mode == "concatenation":
            assert_same(linear(x), stock(x))
        else:
            assert_same(step(linear, x), step(stock, x))
        for key, value in stock.state_dict().items():
            assert_same(linear.state_dict()[key], value)


@pytest.mark.parametrize("sub_sample", [False, True])
def test_concatenation_trains_with_the_gradients_of_its_formula(sub_sample):
    stock = Model(NonLocal2d(6, mode="concatenation", sub_sample=sub_sample))
    linear = copy.deepcopy(stock)
    use_linear_non_local(linear)
    found = step(linear, image())
    call = nn.Module.__call__

    # MMCV's divides the rectifier's output in place, and so can't go backward.
    def out_of_place(module, *args):
        out = call(module, *args)
        return out.clone() if module is stock.block.concat_project else out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "__call__", out_of_place)
        assert_same(found, step(stock, image()))


# Biases that a softmax and a batch norm take out again, but for rounding.
STAY = ("block.phi.0.conv.bias", "block.conv_out.conv.bias")


def test_an_optimizer_made_before_steps_the_same_parameters():
    model = Model(NonLocal2d(6, sub_sample=True, norm_cfg=dict(type="BN")))
    parameters, keys = list(model.parameters()), list(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    use_linear_non_local(model)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert list(model.state_dict()) == keys
    before = copy.deepcopy(model.state_dict())
    step(model, image())
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert name in STAY or not torch.equal(parameter, before[name]), name


def test_no_map_of_weights_is_kept_for_the_backward_pass():
    model = Model(NonLocal2d(6))
    positions = 40 * 50

    def largest():
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: kept.append(t.untyped_storage().nbytes()) or t, lambda t: t
        ):
            model(torch.randn(1, 3, 40, 50))
        return max(kept) / 4 / positions

    assert largest() == positions
    use_linear_non_local(model)
    assert largest() < 100


class OwnForward(NonLocal2d):
    def forward(self, x):
        return 2 * super().forward(x)


class OwnFunction(NonLocal2d):
    def embedded_gaussian(self, theta_x, phi_x):
        return 2 * super().embedded_gaussian(theta_x, phi_x)


class OwnChild(NonLocal2d):
    def __init__(self, channels):
        super().__init__(channels)
        self.attention = nn.Conv2d(channels, 1, 1)


class OwnStart(NonLocal2d):
    """Computes what MMCV's does, and starts in another way."""

    def init_weights(self, value=0.25):
        for parameter in self.parameters():
            nn.init.constant_(parameter, value)


def patched(channels):
    block = NonLocal2d(channels)
    block.forward = lambda x: 3 * x
    return block


@pytest.mark.parametrize("make", [OwnForward, OwnFunction, OwnChild, patched])
def test_a_block_that_computes_something_else_is_left_alone_and_named(
    make, conversion_log
):
    model = nn.Sequential(Model(make(6)), NonLocal2d(2))
    block, x = model[0].block, image()
    cls, expected = type(block), model(x)
    assert use_linear_non_local(model) == 1
    assert type(block) is cls
    torch.testing.assert_close(model(x), expected)
    ((_, line),) = conversion_log
    assert line.endswith(
        f"; left alone, as they compute in their own way: 0.block ({cls.__name__})"
    )


def test_a_subclass_that_computes_the_same_is_converted_and_starts_as_before():
    model = Model(OwnStart(6))
    expected = copy.deepcopy(model)(image())
    assert use_linear_non_local(model) == 1
    assert isinstance(model.block, OwnStart)
    assert hasattr(model.block, "_embed")
    assert_same(model(image()), expected)
    model.block.init_weights()
    assert all((p == 0.25).all() for p in model.block.parameters())


@pytest.mark.parametrize("norm", [None, dict(type="BN")])
def test_its_weights_are_initialised_as_mmcv_does(norm):
    stock = NonLocal2d(6, norm_cfg=norm, zeros_init=False)
    linear = copy.deepcopy(stock)
    use_linear_non_local(linear)
    for arguments in ({}, dict(std=0.3, zeros_init=False)):
        for block in (stock, linear):
            torch.manual_seed(3)
            block.init_weights(**arguments)
        expected = stock.state_dict()
        assert all(torch.equal(expected[k], v) for k, v in linear.state_dict().items())


def test_twice_is_once(conversion_log):
    model = Model(NonLocal2d(6))
    assert use_linear_non_local(model) == 1
    cls = type(model.block)
    assert use_linear_non_local(model) == 1
    assert type(model.block) is cls
    model(image())
    assert use_linear_non_local(model) == 1
    model(image())
    assert len(conversion_log) == 1
    model.more = NonLocal2d(6)
    assert use_linear_non_local(model) == 2
    model.forward = lambda x: model.more(model.stem(x))
    model(image())
    assert len(conversion_log) == 2


def test_a_trial_run_of_add_plugins_is_no_first_batch(conversion_log):
    model = Model(NonLocal2d(6))
    use_linear_non_local(model)
    se = dict(type="nlse_mm.SELayer", reduction=2)
    add_plugins(model, [dict(cfg=se, after="block")], image())
    assert conversion_log == []
    model(image())
    ((_, line),) = conversion_log
    assert "saved in the first batch: 0." in line


def test_a_model_without_blocks_is_warned_of(conversion_log):
    assert use_linear_non_local(nn.Linear(2, 2)) == 0
    assert use_linear_non_local(OwnForward(2)) == 0
    why = "no mmcv.cnn.NonLocal1d, NonLocal2d or NonLocal3d to convert in "
    own = "; left alone, as they compute in their own way: the model (OwnForward)"
    assert conversion_log == [
        (logging.WARNING, f"{why}Linear"),
        (logging.WARNING, f"{why}OwnForward{own}"),
    ]


def test_hooks_on_the_block_and_its_parts_fire_as_before():
    model = Model(NonLocal2d(6, sub_sample=True))
    fired = []
    for name, part in model.block.named_modules():
        part.register_forward_hook(lambda *_, n=name: fired.append(n))
    expected = model(image())
    order = list(fired)
    fired.clear()
    use_linear_non_local(model)
    assert_same(model(image()), expected)
    assert fired == order


@pytest.mark.parametrize("before", [True, False])
def test_sync_bn_may_come_before_or_after(before):
    model = Model(NonLocal2d(6, norm_cfg=dict(type="BN"))).eval()
    expected = copy.deepcopy(model)(image())
    if before:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert use_linear_non_local(model) == 1
    if not before:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert isinstance(model.block.conv_out.bn, nn.SyncBatchNorm)
    # PyTorch 2.1 converts to layers in training mode.
    assert_same(model.eval()(image()), expected)
    model = revert_sync_batchnorm(model)
    assert isinstance(model.block.conv_out.bn, nn.modules.batchnorm._BatchNorm)
    assert_same(model(image()), expected)


def test_a_ddp_wrapper_made_before_averages_its_gradients(tmp_path, conversion_log):
    plain = Model(NonLocal2d(6))
    model = copy.deepcopy(plain)
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(model)
        calls = []

        def counted(state, bucket):
            calls.append(bucket.buffer().numel())
            future = torch.futures.Future()
            future.set_result(bucket.buffer())
            return future

        wrapped.register_comm_hook(None, counted)
        assert use_linear_non_local(wrapped) == 1
        step(wrapped, image())
    finally:
        dist.destroy_process_group()
    assert sum(calls) == sum(p.numel() for p in model.parameters())
    expected = step(plain, image())
    for name, parameter in model.named_parameters():
        assert_same(parameter.grad, expected[name])
    assert len(conversion_log) == 1


def test_a_model_compiled_before_computes_as_ours_after(conversion_log):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph.code)
        return graph.forward

    model = Model(NonLocal2d(6))
    compiled = torch.compile(model, backend=backend)
    expected = compiled(image())
    assert use_linear_non_local(compiled) == 1
    (before,) = graphs
    for _ in range(2):
        assert_same(compiled(image()), expected)
    assert "softmax(" in before
    if HAS_CUSTOM_OPS:  # PyTorch 2.1 has the formula in any graph
        assert len(graphs) > 1 or torch.__version__.startswith("2.11.")  # keeps its own
        assert not any("softmax(" in code for code in graphs[1:])
    ((_, line),) = conversion_log
    assert "saved in the first batch: unknown, since" in line


def test_a_plugin_that_runs_after_a_block_still_runs():
    model, x = Model(NonLocal2d(6)), image()
    after, before = copy.deepcopy(model), copy.deepcopy(model)
    entries = [dict(cfg=dict(type="nlse_mm.SELayer", reduction=2), after="block")]
    nlse_mm.add_plugins(before, entries, x)
    assert use_linear_non_local(before) == 0  # its forward isn't MMCV's
    assert use_linear_non_local(after) == 1
    nlse_mm.add_plugins(after, entries, x).load_state_dict(before.state_dict())
    assert_same(after(x), before(x))
    assert not torch.allclose(after(x), model(x))


def test_its_attention_can_be_shown():
    model = Model(NonLocal2d(6))
    use_linear_non_local(model)
    (block,) = attention_blocks(model).values()
    rows = block.attention(torch.randn(1, 6, 4, 5))
    torch.testing.assert_close(rows.sum(3), torch.ones(1, 1, 20))


CODE = """
import sys
from importlib.machinery import PathFinder

class Hidden(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split('.')[0] in ('mmdet', 'mmseg') or name == 'mmcv._ext':
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hidden
import nlse_mm
assert not {'torch', 'mmengine', 'mmcv'} & sys.modules.keys()
convert = nlse_mm.use_linear_non_local
import torch
from mmcv.cnn import NonLocal2d
from mmengine.registry import HOOKS
assert not [m for m in sys.modules if m.startswith('nlse_mm.training')]
assert convert(NonLocal2d(4)) == 1
assert HOOKS.build(dict(type='nlse_mm.LinearNonLocalHook'))
assert 'mmcv.ops' not in sys.modules
"""


def test_it_needs_neither_a_toolbox_nor_compiled_operators():
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_a_public_name():
    assert nlse_mm.use_linear_non_local is use_linear_non_local
