"""The fused end of an excited block: same values, same gradients, nothing more kept."""

import pytest
import torch

from nlse_mm.ops import excitation as module
from nlse_mm.ops.excitation import excite_add_relu
from nlse_mm.ops.gate import excitation

pytestmark = pytest.mark.usefixtures("each_device")
SIZES = [(2, 8, 5, 7), (1, 16, 1, 3), (3, 8, 6, 4), (0, 8, 5, 7)]


def inputs(size=(2, 8, 5, 7), bias=True, dtype=torch.float64, seed=3):
    """A branch, a shortcut and the weights of an excitation, of order 1."""
    generator = torch.Generator().manual_seed(seed)
    channels, inside = size[1], 4
    shapes = [
        size,
        size,
        (inside, channels),
        (inside,),
        (channels, inside),
        (channels,),
    ]
    how = dict(generator=generator, dtype=dtype, device="cpu")
    device = torch.empty(0).device
    drawn = [torch.randn(s, **how).to(device) for s in shapes]
    if not bias:
        drawn[3] = drawn[5] = None
    return [t if t is None else t.requires_grad_() for t in drawn]


def by_hand(x, identity, weights, top=1.0):
    """Equations 2 to 4 of the paper and the residual block's end, in plain algebra."""
    w1, b1, w2, b2 = (0 if w is None else w for w in weights)
    squeezed = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
    hidden = torch.clamp(torch.einsum("nc,dc->nd", squeezed, w1) + b1, min=0)
    gate = top / (1 + torch.exp(-(torch.einsum("nd,cd->nc", hidden, w2) + b2)))
    return torch.clamp(identity + torch.einsum("nchw,nc->nchw", x, gate), min=0)


def fused(x, identity, *weights, top=1.0):
    return excite_add_relu(x.clone(), identity, weights, top)


def gradients(function, tensors, top=1.0):
    """The output, and the gradients of a sum with weights that differ everywhere."""
    x, identity, *weights = tensors
    y = function(x.clone(), identity, tuple(weights), top)
    slope = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)
    wanted = [t for t in tensors if t is not None and t.requires_grad]
    return y.detach(), torch.autograd.grad((y * slope).sum(), wanted)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("top", [1.0, 2.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_equals_the_formula_in_value_and_in_every_gradient(
    size, top, bias, channels_last
):
    tensors = inputs(size, bias)
    if channels_last:
        tensors[:2] = (
            t.detach().to(memory_format=torch.channels_last).requires_grad_()
            for t in tensors[:2]
        )
    y, ours = gradients(excite_add_relu, tensors, top)
    expected, theirs = gradients(by_hand, tensors, top)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_its_gradients_are_the_numerical_ones():
    assert torch.autograd.gradcheck(fused, inputs((2, 8, 3, 2)))


def test_maps_in_many_chunks_give_what_one_chunk_gives(monkeypatch):
    tensors = inputs((2, 8, 5, 7))
    whole, expected = gradients(excite_add_relu, tensors)
    monkeypatch.setattr(module, "MAP_CHUNK", 3 * 35)  # 3 of 16 channels: 6 chunks
    chunks, ours = gradients(excite_add_relu, tensors)
    torch.testing.assert_close(chunks, whole, rtol=0, atol=0)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


def test_in_single_precision_the_gradients_are_as_near_as_the_plain_ones():
    exact = inputs((2, 64, 28, 28))
    single = [t.detach().float().requires_grad_() for t in exact]
    _, truth = gradients(by_hand, exact)
    _, ours = gradients(excite_add_relu, single)
    _, plain = gradients(by_hand, single)
    for t, a, b in zip(truth, ours, plain, strict=True):
        error, allowed = (a - t).norm(), (b - t).norm()
        assert error <= 4 * allowed + 1e-7 * t.norm()


@pytest.mark.parametrize("frozen", [(0, 1), (2, 3, 4, 5), (1,), (0,)], ids=str)
def test_what_is_frozen_gets_no_gradient_and_the_rest_the_same(frozen):
    tensors = inputs()
    for index in frozen:
        tensors[index].requires_grad_(False)
    _, ours = gradients(excite_add_relu, tensors)
    _, expected = gradients(by_hand, tensors)
    assert len(ours) == 6 - len(frozen)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_training_keeps_no_map_beside_the_output_and_one_more(dtype):
    x, identity, *weights = (t.detach().to(dtype) for t in inputs((2, 8, 5, 7)))
    x.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t) or t, lambda t: t
    ):
        branch = x * 1.0
        kept.clear()  # what the multiplication kept
        y = excite_add_relu(branch, identity, tuple(weights))
    maps = {t.data_ptr() for t in kept if t.shape == x.shape}
    is_half = dtype == torch.bfloat16  # rounded too coarsely to recover the branch
    assert maps == {y.data_ptr(), (branch if is_half else identity).data_ptr()}
    assert (y.data_ptr() == branch.data_ptr()) != is_half


def test_inference_overwrites_the_branch_and_nothing_else():
    x, identity, *weights = inputs()
    expected = by_hand(x, identity, weights).detach()
    branch, shortcut = x.detach().clone(), identity.detach().clone()
    with torch.no_grad():
        y = excite_add_relu(branch, shortcut, tuple(weights))
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    assert y.data_ptr() == branch.data_ptr()
    assert torch.equal(shortcut, identity)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("train", [True, False])
def test_half_precision_is_as_near_as_the_plain_formula(dtype, train):
    exact = inputs((2, 16, 9, 9))
    half = [t.detach().to(dtype).requires_grad_(train) for t in exact]
    with torch.set_grad_enabled(train):
        y = excite_add_relu(half[0] * 1, half[1], tuple(half[2:]))
    truth = by_hand(exact[0], exact[1], exact[2:])
    error = (y - truth).norm() / truth.norm()
    assert error < 4 * torch.finfo(dtype).eps
    if train:
        y.sum().backward()
        truth.sum().backward()
        for h, e in zip(half, exact, strict=True):
            assert (h.grad - e.grad).norm() < 16 * torch.finfo(
                dtype
            ).eps * e.grad.norm()


def test_autocast_gives_the_formulas_gradients(each_device):
    tensors = [t.detach().float().requires_grad_() for t in inputs((2, 16, 9, 9))]
    _, expected = gradients(by_hand, tensors)
    with torch.autocast(each_device, torch.bfloat16):
        _, ours = gradients(excite_add_relu, tensors)
    for a, b in zip(ours, expected, strict=True):
        assert (a - b).norm() < 0.05 * b.norm()


def test_a_second_derivative_is_refused_rather_than_wrong():
    x, identity, *weights = inputs()
    y = excite_add_relu(x * 1, identity, tuple(weights))
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(y.sum(), x, create_graph=True)


def test_the_gate_is_between_0_and_its_scale():
    x, _, *weights = inputs()
    gate = excitation(50 * x, tuple(weights), gate_scale=2.0)
    assert gate.shape == (2, 8)
    assert 0 <= gate.min() < 1 < gate.max() <= 2
