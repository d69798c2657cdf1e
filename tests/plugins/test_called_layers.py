"""Who hooks, replaces or reparametrises a block's layers gets what MMCV's block gives.

Each treatment is done to MMCV's block and to ours, or to a plain squeeze and excitation
and ours, with the same weights; then outputs, gradients and what was seen must agree.
"""

import copy
from functools import partial
from math import gcd

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn import NonLocal2d as Stock
from this_pytorch import needs_float16
from torch import nn
from torch.nn.modules import module as hooks
from torch.nn.utils import parametrizations, parametrize, prune

from nlse_mm.plugins import NonLocal2d, SELayer, SelfAttention2d

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
F64 = dict(dtype=torch.float64)


class PlainSE(nn.Module):
    """As MMDetection and MMPretrain have it."""

    def __init__(self):
        super().__init__()
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(12, 8, 1)
        self.conv2 = ConvModule(8, 12, 1, act_cfg=dict(type="Sigmoid"))

    def forward(self, x):
        return x * self.conv2(self.conv1(self.global_avgpool(x)))


class Trainable(Stock):
    """MMCV's block, but that it doesn't divide the rectifier's output in place."""

    def concatenation(self, theta_x, phi_x):
        p, q = theta_x.size(2), phi_x.size(3)
        pairs = [theta_x.repeat(1, 1, 1, q), phi_x.repeat(1, 1, p, 1)]
        return self.concat_project(torch.cat(pairs, dim=1)).squeeze(1) / q


def peers(kind, **kwargs):
    """A stock block and ours, with the same weights, all of them at work."""
    if kind == "se":
        stock, ours = PlainSE(), SELayer(12, reduction=2)
    else:
        stock, ours = (c(12, mode=kind, **kwargs) for c in (Trainable, NonLocal2d))
    for parameter in stock.parameters():
        nn.init.normal_(parameter, std=0.4)
    ours.load_state_dict(stock.state_dict())
    return stock.double(), ours.double()


def layers_of(block):
    """Everything inside that MMCV's block, or a plain SE, calls; by name."""
    return {n: m for n, m in block.named_modules() if n and "global" not in n}


def run(block, x):
    x = x.clone().requires_grad_()
    out = block(x)
    slope = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    (out * slope).sum().backward()
    gradients = {n: p.grad for n, p in block.named_parameters()}
    return {"output": out.detach(), "input": x.grad, **gradients}


def assert_same(ours, expected):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            ours[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: n + m
        )


def treated_alike(kind, treat, **kwargs):
    stock, ours = peers(kind, **kwargs)
    untreated = ours(X).detach()
    for block in (stock, ours):
        torch.manual_seed(1)
        treat(block)
    results = []
    for block in (stock, ours):
        torch.manual_seed(2)
        block.train()
        block(X)  # what is updated in each pass must be updated once
        results.append(run(block, X))
    assert_same(results[1], results[0])
    assert not torch.allclose(results[1]["output"], untreated, rtol=1e-3)


X = torch.randn(2, 12, 6, 5, **F64, generator=torch.Generator().manual_seed(0))
KINDS = [
    *((mode, dict(sub_sample=s)) for mode in MODES for s in (False, True)),
    ("embedded_gaussian", dict(norm_cfg=dict(type="BN"))),
    ("se", {}),
]
each_kind = pytest.mark.parametrize(
    ("kind", "kwargs"), KINDS, ids=lambda v: v if isinstance(v, str) else str(v)
)


def seen_by_hooks(block, x):
    """Shapes, values and gradients that hooks on every layer see, in order."""
    seen = []

    def note(what, name, module, *tensors):
        flat = [
            t
            for group in tensors
            for t in ((group,) if isinstance(group, torch.Tensor) else group)
        ]
        seen.append(
            (what, name, [None if t is None else t.detach().clone() for t in flat])
        )

    for name, layer in layers_of(block).items():
        layer.register_forward_pre_hook(partial(note, "before", name))
        layer.register_forward_hook(partial(note, "after", name), always_call=True)
        # The layer in front of a ReLU that works in place can't have a backward hook.
        if "concat" not in name and "conv1" not in name:
            layer.register_full_backward_hook(partial(note, "gradients", name))
    run(block, x)
    return seen


@each_kind
def test_hooks_on_every_layer_see_what_they_see_in_the_stock_block(kind, kwargs):
    stock, ours = (seen_by_hooks(block, X) for block in peers(kind, **kwargs))
    assert [s[:2] for s in ours] == [s[:2] for s in stock]
    for (*_, seen), (*_, expected) in zip(ours, stock, strict=True):
        for a, b in zip(seen, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@each_kind
def test_a_hook_on_one_layer_can_change_its_output(kind, kwargs):
    for name in layers_of(peers(kind, **kwargs)[1]):

        def treat(block, name=name):
            layers_of(block)[name].register_forward_hook(lambda m, i, o: 2 * o + 0.1)

        treated_alike(kind, treat, **kwargs)


@each_kind
def test_a_global_hook_sees_each_layer(kind, kwargs):
    called = []
    for block in peers(kind, **kwargs):
        names = {m: n for n, m in layers_of(block).items()}
        calls = []

        def see(module, args, output, names=names, calls=calls):
            calls.append(names.get(module))

        handle = hooks.register_module_forward_hook(see)
        try:
            block(X)
        finally:
            handle.remove()
        called.append([n for n in calls if n])
    assert called[0] == called[1]
    assert called[1]


@each_kind
def test_hooks_that_are_removed_leave_the_block_as_it_was(kind, kwargs):
    _, ours = peers(kind, **kwargs)
    expected = run(copy.deepcopy(ours), X)
    handles = [m.register_forward_hook(lambda *_: None) for m in ours.modules()]
    assert_same(run(copy.deepcopy(ours), X), expected)
    for handle in handles:
        handle.remove()
    assert_same(run(ours, X), expected)


def convolutions(block):
    return [m for m in block.modules() if isinstance(m, nn.Conv2d)]


class Half(nn.Module):
    def forward(self, weight):
        return weight / 2


class LowRank(nn.Module):
    """An adapter beside a frozen layer, as PEFT puts it into a layer's place."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Conv2d(base.in_channels, 2, 1, bias=False).double()
        self.up = nn.Conv2d(2, base.out_channels, 1, bias=False).double()

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


class Squared(nn.Conv2d):
    def forward(self, x):
        return super().forward(x * x)


def replace(block, make):
    for module in list(block.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Conv2d:
                setattr(module, name, make(child))


def own_forward(block):
    for conv in convolutions(block):
        conv.forward = partial(lambda forward, x: 3 * forward(x), conv.forward)


def become(block, cls):
    for conv in convolutions(block):
        conv.__class__ = cls


TREATMENTS = {
    "spectral_norm": lambda b: [nn.utils.spectral_norm(c) for c in convolutions(b)],
    "weight_norm": lambda b: [
        nn.utils.weight_norm(c).weight_g.data.mul_(2) for c in convolutions(b)
    ],
    "prune": lambda b: [
        prune.random_unstructured(c, "weight", 0.5) for c in convolutions(b)
    ],
    "prune_bias": lambda b: [
        prune.random_unstructured(c, "bias", 0.5)
        for c in convolutions(b)
        if c.bias is not None
    ],
    "parametrized_spectral_norm": lambda b: [
        parametrizations.spectral_norm(c) for c in convolutions(b)
    ],
    "parametrized_weight_norm": lambda b: [
        parametrizations.weight_norm(c)
        and c.parametrizations.weight.original0.data.mul_(2)
        for c in convolutions(b)
    ],
    "parametrize": lambda b: [
        parametrize.register_parametrization(c, "weight", Half())
        for c in convolutions(b)
    ],
    "adapter": lambda b: replace(b, LowRank),
    "own_forward": own_forward,
    "subclass": lambda b: become(b, Squared),
    "kernel": lambda b: replace(
        b, lambda c: nn.Conv2d(c.in_channels, c.out_channels, 3, padding=1).double()
    ),
    "groups": lambda b: replace(
        b,
        lambda c: nn.Conv2d(
            c.in_channels, c.out_channels, 1, groups=gcd(c.out_channels, 2)
        ).double(),
    ),
    "no_bias": lambda b: [setattr(c, "bias", None) for c in convolutions(b)],
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("treatment", TREATMENTS)
@each_kind
def test_what_is_done_to_the_layers_acts(kind, kwargs, treatment):
    treated_alike(kind, TREATMENTS[treatment], **kwargs)


@each_kind
def test_pruning_made_permanent_and_parametrisations_removed(kind, kwargs):
    def treat(block):
        for conv in convolutions(block):
            prune.l1_unstructured(conv, "weight", 0.5)
            prune.remove(conv, "weight")
            parametrize.register_parametrization(conv, "weight", Half())
            parametrize.remove_parametrizations(conv, "weight")

    treated_alike(kind, treat, **kwargs)


@pytest.mark.parametrize("mode", ["embedded_gaussian", "dot_product", "concatenation"])
@pytest.mark.parametrize(
    "pool",
    [nn.AvgPool2d(2), nn.MaxPool2d((1, 2), stride=2), nn.AdaptiveMaxPool2d((3, 2))],
)
def test_the_pooling_of_one_layer_may_be_replaced(mode, pool):
    treated_alike(mode, lambda b: setattr(b.phi, "1", pool), sub_sample=True)


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "IN", "GN"])
@pytest.mark.parametrize("train", [False, True])
def test_the_last_norm_may_be_any_and_may_be_hooked(norm, train):
    cfg = dict(type=norm) if norm != "GN" else dict(type="GN", num_groups=3)
    if norm == "SyncBN" and train:
        pytest.skip("SyncBN trains on a GPU only")
    stock, ours = peers("embedded_gaussian", norm_cfg=cfg)
    stock.train(train), ours.train(train)
    assert_same(run(ours, X), run(stock, X))
    for block in (stock, ours):
        block.zero_grad()
        block.conv_out.norm.register_forward_hook(lambda m, i, o: o + i[0])
    assert_same(run(ours, X), run(stock, X))


def test_a_folded_norm_is_the_norm():
    from mmcv.cnn import fuse_conv_bn

    _, ours = peers("embedded_gaussian", norm_cfg=dict(type="BN"))
    nn.init.uniform_(ours.conv_out.bn.running_var, 0.5, 2)
    nn.init.normal_(ours.conv_out.bn.running_mean)
    expected = ours.eval()(X)
    torch.testing.assert_close(fuse_conv_bn(ours)(X), expected)


@pytest.mark.parametrize("mode", MODES)
def test_pooling_first_calls_the_layers_it_is_made_of(mode):
    plain = NonLocal2d(12, mode=mode, sub_sample=True, pool_first=True).double()
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.4)
    hooked, seen = copy.deepcopy(plain), []
    hooked.g.register_forward_hook(lambda m, i, o: seen.append(o.shape))
    assert_same(run(hooked, X), run(plain, X))
    assert seen == [(2, 6, 3, 2)]


def test_asking_for_the_attention_of_a_treated_block():
    for mode in MODES:
        _, ours = peers(mode)
        for conv in convolutions(ours):
            parametrize.register_parametrization(conv, "weight", Half())
        y = ours.attention(X)[:, 0] @ ours.g(X).flatten(2).transpose(1, 2)
        y = y.transpose(1, 2).unflatten(2, X.shape[2:])
        torch.testing.assert_close(ours(X), X + ours.conv_out(y))


@needs_float16
def test_excitations_under_a_hook_stay_out_of_half_precision():
    layer = SELayer(32)
    x = torch.full((1, 32, 64, 64), 6e4)
    expected = layer(x)
    layer.conv1.register_forward_hook(lambda *_: None)
    with torch.autocast("cpu", torch.float16):
        out = layer(x.half())
    torch.testing.assert_close(out.float(), expected, rtol=0.01, atol=0)


@pytest.mark.parametrize("encoding", ["quadratic", "quadratic_full", "learned"])
@pytest.mark.parametrize("out_channels", [None, 6])
def test_the_layer_of_self_attention_is_called_when_hooked(encoding, out_channels):
    layer = SelfAttention2d(4, out_channels, num_heads=3, encoding=encoding).double()
    nn.init.normal_(layer.value.weight)
    x, seen = X[:, :4], []
    expected = run(copy.deepcopy(layer), x)
    layer.value.register_forward_hook(lambda m, i, o: seen.append(i[0].shape))
    assert_same(run(layer, x), expected)
    assert seen == [(2, 12, 6, 5)]
    layer.zero_grad()
    parametrize.register_parametrization(layer.value, "weight", Half())
    halved = run(layer, x)["output"]
    if out_channels is None:
        halved, expected = halved - x, {"output": expected["output"] - x}
    bias = layer.value.bias.detach()[:, None, None]
    torch.testing.assert_close(2 * (halved - bias), expected["output"] - bias)


class Counted(torch.Tensor):
    """A weight that notes in which functions it is used."""

    used: list[str] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.used.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_weight_of_a_kind_of_its_own_goes_into_a_convolution():
    _, block = peers("embedded_gaussian")
    weight = block.theta.conv.weight.detach().as_subclass(Counted)
    block.theta.conv.weight = nn.Parameter(weight)
    Counted.used.clear()
    block(X)
    assert "conv2d" in Counted.used


@pytest.mark.parametrize("cls", [nn.Conv2d, ConvModule, nn.Module])
@pytest.mark.parametrize("kind", ["embedded_gaussian", "se"])
def test_a_method_replaced_in_the_class_sees_each_call(monkeypatch, cls, kind):
    name = "__call__" if cls is nn.Module else "forward"
    own, calls = getattr(cls, name), []

    def counted(self, *args, **kwargs):
        calls[-1] += 1
        return own(self, *args, **kwargs)

    monkeypatch.setattr(cls, name, counted)
    stock, ours = peers(kind)
    layers = layers_of(ours)
    for block in (stock, ours):
        calls.append(0)
        block(X)
    # A plain SE has its pooling as a layer more.
    pooling = kind == "se" and cls is nn.Module
    assert calls[1] == calls[0] - pooling
    assert calls[1] >= len([m for m in layers.values() if isinstance(m, cls)])


def test_nothing_is_called_where_nobody_looks(monkeypatch):
    """The fast path itself: without it the tests above would prove nothing."""
    _, block = peers("embedded_gaussian")

    def refuse(*_, **__):
        raise AssertionError("called")

    monkeypatch.setattr(F, "conv2d", refuse)
    block(X)
    with pytest.raises(AssertionError, match="called"):
        Trainable(12).double()(X)
