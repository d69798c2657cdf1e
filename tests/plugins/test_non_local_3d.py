"""The non-local block in space, in time and in both, against its formula with a mask.

Shapes: N batch, C channels, T frames, P queries, Q keys, D channels of queries and
keys, E of values.
"""

import copy

import pytest
import torch
from mmcv.cnn import NonLocal3d as Stock
from torch import nn

from nlse_mm import ops
from nlse_mm.errors import ConfigError
from nlse_mm.plugins import NonLocal2d, NonLocal3d
from nlse_mm.plugins.non_local import MODES
from nlse_mm.plugins.non_local_3d import AXES

SIZE = (2, 12, 3, 5, 4)
F64 = dict(dtype=torch.float64)
each_mode = pytest.mark.parametrize("mode", MODES)
each_axis = pytest.mark.parametrize("axis", AXES)
FORMS = [
    dict(axis="spacetime"),
    dict(axis="space"),
    dict(axis="space", sub_sample=True),
    dict(axis="space", sub_sample=True, pool_first=True),
    dict(axis="space", norm_cfg=dict(type="BN3d")),
    dict(axis="time"),
    dict(axis="time", use_scale=False),
    dict(axis="time", norm_cfg=dict(type="GN", num_groups=3)),
]


def at_work(**kwargs):
    block = NonLocal3d(12, **kwargs)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.4)
    return block.double()


def may_see(axis, queries, keys):
    """Tell for P queries and Q keys of (T, H, W) and (T, H', W') which are pairs."""
    of_query = torch.cartesian_prod(*map(torch.arange, queries))[:, None]  # (P, 1, 3)
    of_key = torch.cartesian_prod(*map(torch.arange, keys))[None]  # (1, Q, 3)
    same = dict(spacetime=slice(0), space=slice(0, 1), time=slice(1, 3))[axis]
    return (of_query == of_key)[..., same].all(-1)  # (P, Q)


class Formula(nn.Module):
    """Equations 1 to 6, with all P x Q weights, of which the axis leaves some."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        block, mode = self.block, self.block.mode
        theta = x if mode == "gaussian" else block.theta(x)
        phi, g = x, block.g(x)
        if mode != "gaussian" or block.sub_sample:
            phi = block.phi(x)
        pairs = may_see(block.axis, theta.shape[2:], phi.shape[2:])
        if mode == "concatenation":
            first, second = block.concat_project.conv.weight.flatten().chunk(2)
            a = torch.einsum("d,ndp->np", first, theta.flatten(2))
            b = torch.einsum("d,ndq->nq", second, phi.flatten(2))
            weights = (a[:, :, None] + b[:, None]).relu()
        else:
            weights = torch.einsum("ndp,ndq->npq", theta.flatten(2), phi.flatten(2))
        if "gaussian" in mode:
            scaled = mode == "embedded_gaussian" and block.use_scale
            weights = weights / block.inter_channels**0.5 if scaled else weights
            weights = weights.masked_fill(~pairs, -torch.inf).softmax(2)
        else:
            weights = weights * pairs / pairs.sum(1, keepdim=True)
        y = torch.einsum("npq,neq->nep", weights, g.flatten(2))
        return x + block.conv_out(y.unflatten(2, x.shape[2:]))


def run(block, x):
    x = x.clone().requires_grad_()
    out = block(x)
    (out * torch.linspace(-1, 1, out.numel(), **F64).view_as(out)).sum().backward()
    gradients = [p.grad for p in block.parameters()]
    return [out.detach(), x.grad, *gradients]


@each_mode
@pytest.mark.parametrize("kwargs", FORMS, ids=lambda k: "-".join(map(str, k.values())))
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_values_and_every_gradient_are_the_formulas(mode, kwargs, last):
    block = at_work(mode=mode, **kwargs)
    x = torch.randn(SIZE, **F64)
    expected = run(Formula(copy.deepcopy(block)), x)
    x = x.to(memory_format=torch.channels_last_3d) if last else x
    torch.testing.assert_close(run(block, x), expected, rtol=1e-11, atol=1e-11)


@each_mode
def test_in_space_a_frame_is_an_image_of_the_block_for_maps(mode):
    volumes = at_work(mode=mode, axis="space", sub_sample=True)
    maps = NonLocal2d(12, mode=mode, sub_sample=True).double()
    states = maps.state_dict(), volumes.state_dict()
    maps.load_state_dict({k: states[1][k].view_as(v) for k, v in states[0].items()})
    x = torch.randn(SIZE, **F64)
    expected = torch.stack([maps(frame) for frame in x.unbind(2)], 2)
    torch.testing.assert_close(volumes(x), expected, rtol=1e-12, atol=1e-12)


@each_mode
@each_axis
def test_weights_load_from_mmcvs_block_and_from_any_axis(mode, axis):
    kwargs = dict(mode=mode, norm_cfg=dict(type="BN3d"))
    stock, ours = Stock(12, **kwargs), NonLocal3d(12, axis=axis, **kwargs)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (stock, ours)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("kwargs", "keys"),
    [
        (dict(axis="spacetime"), 3 * 5 * 4),
        (dict(axis="spacetime", sub_sample=True), 3 * 2 * 2),
        (dict(axis="space"), 5 * 4),
        (dict(axis="space", sub_sample=True), 2 * 2),
        (dict(axis="time"), 3),
    ],
    ids=str,
)
def test_attention_has_the_keys_of_the_axis_in_their_order(kwargs, keys):
    block, x = at_work(mode="dot_product", **kwargs), torch.randn(SIZE, **F64)
    at = torch.tensor([59, 0, 21, 21, 20])  # t H W + h W + w
    rows = block.attention(x, at)
    assert rows.shape == (2, 1, 5, keys)
    query, key = block.theta(x).flatten(2)[:, :, at], block.phi(x).flatten(2)
    pooled = (3, 2, 2) if block.sub_sample else SIZE[2:]
    pairs = may_see(block.axis, SIZE[2:], pooled)
    for n in range(2):
        for row, place in enumerate(at):
            seen = key[n][:, pairs[place]]  # (D, Q)
            expected = query[n][:, row] @ seen / keys
            torch.testing.assert_close(rows[n, 0, row], expected)


@pytest.mark.parametrize("axis", AXES[1:])
def test_attention_at_a_point_makes_no_other_weights(axis):
    block = at_work(axis=axis)
    sizes = []

    def noted(query, key):
        sizes.append((*query.shape[:2], key.shape[1]))
        return NonLocal3d._pair_weights(block, query, key)

    block._pair_weights = noted
    block.attention(torch.randn(1, *SIZE[1:], **F64), torch.tensor([23]))
    assert sizes == [(1, 1, 20) if axis == "space" else (1, 1, 3)]


@pytest.mark.parametrize("axis", AXES)
def test_queries_that_are_the_keys_are_one_tensor(axis, monkeypatch):
    given = []

    def noted(query, key, value, scale):
        given.append(query is key)
        return value

    monkeypatch.setattr(ops, "softmax_attention", noted)
    at_work(mode="gaussian", axis=axis)(torch.randn(SIZE, **F64))
    assert given == [True]


@each_mode
@pytest.mark.parametrize("axis", AXES[1:])
def test_traced_graphs_serve_other_sizes(mode, axis):
    block = at_work(mode=mode, axis=axis).eval()
    x = torch.randn(SIZE, **F64)
    traced = torch.jit.trace(block, x, check_trace=False)
    for graph in (traced, torch.fx.symbolic_trace(block)):
        for size in (SIZE, (1, 12, 5, 3, 7)):
            x = torch.randn(size, **F64)
            torch.testing.assert_close(graph(x), block(x))


def test_what_was_pickled_before_there_were_axes_computes_in_both():
    block = at_work()
    x = torch.randn(SIZE, **F64)
    expected = block(x)
    del block.axis
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        (dict(axis="depth"), "axis='depth' is not one of .'spacetime', 'space', 'ti"),
        (dict(axis=None), "axis=None is not one of"),
        (dict(axis="time", sub_sample=True), "sub_sample=True has no meaning with ax"),
        (dict(axis="space", mode="softmax"), "mode='softmax' is not one of"),
        (dict(in_channels=0), "in_channels=0 is not an integer of at least 1"),
        (dict(axes="time"), "no argument 'axes' .given 'time'.; near it are 'axis'"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(kwargs, sentence):
    with pytest.raises(ConfigError, match=sentence):
        NonLocal3d(**{"in_channels": 12, **kwargs})


def test_a_frame_too_small_to_sub_sample_ends_in_a_sentence():
    with pytest.raises(ConfigError, match="needs 2 positions each way, not 4 x 1 x 6"):
        NonLocal3d(4, axis="space", sub_sample=True)(torch.rand(1, 4, 4, 1, 6))
