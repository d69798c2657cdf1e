"""The three pairwise operations against their formulas, written out."""

from itertools import product

import pytest
import torch
from this_pytorch import each_half_dtype, needs_float16
from torch.autograd import gradcheck, gradgradcheck

from nlse_mm import ops
from nlse_mm.ops import blocks as blocks_file
from nlse_mm.ops import softmax as softmax_file
from nlse_mm.ops import softmax_blocks
from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS
from nlse_mm.ops.softmax import _flash
from nlse_mm.ops.softmax_blocks import formula
from nlse_mm.ops.softmax_way import Way, softmax_way

pytestmark = pytest.mark.usefixtures("each_device")
F64 = dict(dtype=torch.float64)


def softmax_formula(query, key, value, scale=0.4):
    weights = (scale * torch.einsum("npd,nqd->npq", query, key)).softmax(dim=2)
    return torch.einsum("npq,nqe->npe", weights, value)


def dot_product_formula(query, key, value):
    weights = torch.einsum("npd,nqd->npq", query, key) / key.shape[1]
    return torch.einsum("npq,nqe->npe", weights, value)


def concatenation_formula(a, b, value):
    weights = (a[:, :, None] + b[:, None, :]).relu() / b.shape[1]
    return torch.einsum("npq,nqe->npe", weights, value)


def three(p=7, q=5, d=4, e=3, n=2):
    return torch.randn(n, p, d, **F64), torch.randn(n, q, d, **F64), values(n, q, e)


def two(p=7, q=5, e=3, n=2):
    return torch.randn(n, p, **F64), torch.randn(n, q, **F64), values(n, q, e)


def values(n, q, e):
    return torch.randn(n, q, e, **F64)


def softmax(query, key, value):
    return ops.softmax_attention(query, key, value, 0.4)


OPERATIONS = {
    "softmax": (softmax, softmax_formula, three),
    "dot_product": (ops.dot_product_attention, dot_product_formula, three),
    "concatenation": (ops.concatenation_attention, concatenation_formula, two),
}
SIZES = [dict(), dict(p=1, q=1), dict(p=3, q=11, e=1), dict(p=1500, q=1400, n=1)]

each = pytest.mark.parametrize("name", OPERATIONS)


def with_gradients(function, tensors):
    tensors = [t.detach().clone().requires_grad_() for t in tensors]
    out = function(*tensors)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    (out * weight).sum().backward()
    return [out.detach(), *(t.grad for t in tensors)]


@each
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_values_and_gradients_are_the_formulas(name, size):
    function, formula, make = OPERATIONS[name]
    tensors = make(**size)
    for ours, expected in zip(
        with_gradients(function, tensors), with_gradients(formula, tensors), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weights", [1, 20, 35, 80, 10**6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels_first", [False, True])
def test_blocks_of_any_size_give_the_formula(
    monkeypatch, weights, dtype, channels_first
):
    # Of 7 x 5 weights: parts of one image, an image, two of three, and all.
    monkeypatch.setattr(blocks_file, "BLOCK_WEIGHTS", weights)
    tensors = [t.to(dtype) for t in three(n=3)]
    if channels_first:
        tensors = [t.mT.contiguous().mT for t in tensors]
    ours = with_gradients(softmax, tensors)
    expected = with_gradients(softmax_formula, [t.double() for t in tensors])
    near = 1e-12 if dtype == torch.float64 else 2e-2
    for own, wide in zip(ours, expected, strict=True):
        torch.testing.assert_close(own.double(), wide, rtol=near, atol=near)


@pytest.mark.parametrize("p", [0, 1, 7, 196, 4200])
@pytest.mark.parametrize("q", [0, 1, 5, 196, 67_200, 8 * blocks_file.BLOCK_WEIGHTS])
@pytest.mark.parametrize("n", [0, 1, 2, 128, 1000])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_blocks_are_bounded_and_as_few_as_the_bound_allows(n, p, q, device):
    sizes, most = (n, p), blocks_file.most_weights(device)
    found = [
        tuple(len(range(s)[part]) for s, part in zip(sizes, block, strict=True))
        for block in blocks_file.blocks(n, p, q, device)
    ]
    assert sum(images * queries for images, queries in found) == n * p
    largest = blocks_file.block_size(n, p, q, device)
    for images, queries in found:
        assert images <= largest[0]
        assert queries <= largest[1]
        few = images == 1 and queries <= blocks_file.QUERIES
        assert images * queries * q <= max(most * (1 + few), q)
    whole = most // max(p * q, 1)  # images that go together
    if whole:
        assert len(found) == (-(-n // whole) if p else 0)


@each
def test_gradcheck(name):
    function, _, make = OPERATIONS[name]
    assert gradcheck(function, [t.requires_grad_() for t in make()])


# Of a block of weights: parts of one of the two images, an image, and both.
@pytest.mark.parametrize(
    ("p", "weights"), [(0, 9), (7, 20), (7, 60), (7, 99), (99, 9000)]
)
@pytest.mark.parametrize("many_channels", [1, 5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels_first", [False, True])
def test_attention_of_positions_to_themselves(
    monkeypatch, p, weights, many_channels, dtype, channels_first
):
    monkeypatch.setattr(softmax_blocks, "MANY_CHANNELS", many_channels)
    monkeypatch.setattr(blocks_file, "BLOCK_WEIGHTS", weights)
    x, value = torch.randn(2, p, 4, **F64), values(2, p, 3)
    x, value = x.to(dtype), value.to(dtype)
    if channels_first:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    ours = with_gradients(lambda x, v: softmax(x, x, v), (x, value))
    wide = x.double(), value.double()
    expected = with_gradients(lambda x, v: softmax_formula(x, x, v), wide)
    near = 1e-12 if dtype == torch.float64 else 2e-2
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=near, atol=near)


def test_gradcheck_of_positions_to_themselves(monkeypatch):
    monkeypatch.setattr(softmax_blocks, "MANY_CHANNELS", 1)
    x, value = torch.randn(2, 7, 4, **F64), values(2, 7, 3)
    x, value = x.requires_grad_(), value.requires_grad_()
    assert gradcheck(lambda x, v: softmax(x, x, v), (x, value))
    assert gradgradcheck(lambda x, v: softmax(x, x, v), (x, value))


def test_a_sharp_softmax_of_large_numbers_has_no_subnormals_and_no_nans():
    x = 30 * torch.randn(1, 1200, 64)
    value = torch.randn(1, 1200, 8)
    out, d_x, d_value = with_gradients(
        lambda x, v: ops.softmax_attention(x, x, v, 1.0), (x, value)
    )
    torch.testing.assert_close(out, value)  # each position sees itself alone
    assert d_x.isfinite().all()
    assert d_value.isfinite().all()


@each
@pytest.mark.parametrize("size", [dict(n=0), dict(p=0), dict(q=0)], ids=str)
def test_empty_sizes_give_zeros_and_gradients(name, size):
    function, _, make = OPERATIONS[name]
    tensors = make(**size)
    out, *gradients = with_gradients(function, tensors)
    assert out.shape == (tensors[2].shape[0], tensors[0].shape[1], tensors[2].shape[2])
    assert not out.any()
    assert not any(g.any() for g in gradients)


@each
def test_strides_do_not_matter(name):
    function, _, make = OPERATIONS[name]
    tensors = make()
    strided = [t.transpose(0, 1).contiguous().transpose(0, 1) for t in tensors]
    for a, b in zip(
        with_gradients(function, tensors),
        with_gradients(function, strided),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


@each
def test_a_second_derivative_is_the_formulas(name):
    function, formula, make = OPERATIONS[name]
    tensors = [t.requires_grad_() for t in make()]

    def penalty(f):
        """What WGAN-GP's loss does: a gradient of the size of the gradients."""
        out = f(*tensors)
        slope = torch.linspace(-1, 1, out.numel(), **F64).view_as(out)
        first = torch.autograd.grad((out * slope).sum(), tensors, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), tensors)
        return [*(g.detach() for g in first), *second]

    for ours, expected in zip(penalty(function), penalty(formula), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-12)


def test_ties_at_the_rectifiers_corner_count_as_zero():
    # a + b is exactly 0 for one pair: ReLU's derivative there is 0.
    a, b = torch.tensor([[1.0, -2.0]], **F64), torch.tensor([[-1.0, 2.5, 2.0]], **F64)
    value = torch.eye(3, **F64)[None]
    ours = with_gradients(ops.concatenation_attention, (a, b, value))
    expected = with_gradients(concatenation_formula, (a, b, value))
    for x, y in zip(ours, expected, strict=True):
        torch.testing.assert_close(x, y)


def test_concatenation_takes_the_channels_in_chunks(monkeypatch):
    from nlse_mm.ops import concatenation

    inputs = torch.randn(2, 9, **F64), torch.randn(2, 7, **F64), values(2, 7, 10)
    whole = with_gradients(ops.concatenation_attention, inputs)
    monkeypatch.setattr(concatenation, "CHANNEL_CHUNK", 4)
    parts = with_gradients(ops.concatenation_attention, inputs)
    for part, one in zip(parts, whole, strict=True):
        torch.testing.assert_close(part, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_concatenation_over_67200_positions_keeps_five_digits(shift):
    # All values of one sign: the sums grow with the number of positions.
    count = 67_200
    a, b = torch.randn(1, count) + shift, torch.randn(1, count)
    value = torch.rand(1, count, 4)
    sample = torch.randint(count, (200,))
    exact = (a[0, sample, None].double() + b.double()).relu() @ value[0].double()
    ours = ops.concatenation_attention(a, b, value)[0, sample]
    error = (ours - exact / count).abs().max() / (exact / count).abs().max()
    assert error < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("is_self", [False, True])
def test_half_precision_is_as_near_as_its_weights_allow(dtype, is_self):
    if dtype == torch.float16 and not HAS_CUSTOM_OPS:
        pytest.skip("PyTorch 2.1 has no products of float16 on a CPU to compare with")
    query, key, value = (torch.randn(2, 300, 16) for _ in range(3))
    key = query if is_self else key
    half = [t.to(dtype) for t in (query, key, value)]
    if is_self:
        half[1] = half[0]
    exact = with_gradients(
        lambda q, k, v: softmax_formula(q, k, v, 0.25), [t.double() for t in half]
    )
    ours = with_gradients(lambda q, k, v: ops.softmax_attention(q, k, v, 0.25), half)
    naive = with_gradients(lambda q, k, v: softmax_formula(q, k, v, 0.25), half)
    for a, b, e in zip(ours, naive, exact, strict=True):
        assert (a - e).norm() <= 1.2 * (b - e).norm()


@pytest.mark.parametrize("weights", [20, 35, 80, 10**6])
@each_half_dtype
@pytest.mark.parametrize("is_self", [False, True])
def test_products_of_16_bits_in_32_give_the_formula(
    monkeypatch, weights, dtype, is_self
):
    """What a GPU does, with its product replaced: the CPU has none of that kind."""

    def product(out, a, b, scale, add):
        assert a.dtype == b.dtype == dtype
        assert out.dtype == torch.float32
        out.copy_(scale * (a.float() @ b.float()) + (out if add else 0))

    for file in (softmax_file, softmax_blocks):
        monkeypatch.setattr(file, "multiplies_wide", lambda x: x.dtype == dtype)
    monkeypatch.setattr(softmax_blocks, "wide_product", product)
    monkeypatch.setattr(softmax_blocks, "MANY_CHANNELS", 1)
    monkeypatch.setattr(blocks_file, "BLOCK_WEIGHTS", weights)
    query, key, value = (t.to(dtype) for t in three(n=3))
    if is_self:
        given, f = (query, query @ query.mT), lambda q, v: softmax(q, q, v)
        exact = lambda q, v: softmax_formula(q, q, v)  # noqa: E731
    else:
        given, f, exact = (query, key, value), softmax, softmax_formula
    ours = with_gradients(f, given)
    for own, wide in zip(
        ours, with_gradients(exact, [t.double() for t in given]), strict=True
    ):
        torch.testing.assert_close(own.double(), wide, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps", "meta"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_flash_is_tried_where_no_size_or_dtype_forbids_it(device, dtype):
    channels = (1, 9, 18, 58, 100, 256, 257, 512, 1024)
    sizes = ((1, 1, 1), (2, 4200, 1050), (0, 5, 5), (1, 0, 5), (1, 5, 0))
    tried = {
        (d, e, size)
        for d, e, size in product(channels, channels, sizes)
        if softmax_way(device, dtype, *size, d, e) is Way.FLASH
    }
    on_a_gpu = device == "cuda" and dtype != torch.float32
    wanted = {(d, d, s) for d in channels[:6] for s in sizes[:2]} if on_a_gpu else set()
    assert tried == wanted


@pytest.mark.parametrize(
    ("size", "channels", "way"),
    [
        ((65_535, 4, 4), 64, Way.FLASH),  # attention along the frames of many pixels
        ((65_536, 4, 4), 64, Way.BLOCKS),
        ((4096, 4096, 9), 128, Way.FLASH),  # exactly 2**31
        ((4096, 4097, 9), 128, Way.BLOCKS),  # queries are padded to multiples of 128
        ((16_384, 4096, 9), 32, Way.FLASH),
        ((16_385, 4096, 9), 8, Way.BLOCKS),  # and channels to 32
    ],
)
def test_flash_is_not_tried_beyond_what_its_kernels_count(size, channels, way):
    assert softmax_way("cuda", torch.bfloat16, *size, channels, channels) is way


@pytest.mark.parametrize("channels", [8, 9, 58])
@pytest.mark.skipif(
    not hasattr(torch.nn, "attention"), reason="this PyTorch has no torch.nn.attention"
)
def test_the_flash_kernel_gives_the_formula(channels):
    # PyTorch's own for the CPU: the same call, by the same name.
    torch.manual_seed(0)
    cpu = dict(device="cpu")
    query, key, value = (torch.rand(2, n, channels, **cpu) for n in (50, 33, 33))
    out = _flash(*(t.unsqueeze(1) for t in (query, key, value)), 0.7)
    torch.testing.assert_close(out, formula(query, key, value, 0.7))


@needs_float16
def test_a_second_derivative_under_autocast_stays_finite():
    query, key = (100 * torch.randn(1, 5, 512) for _ in range(2))
    value = torch.randn(1, 5, 4, requires_grad=True)
    query.requires_grad_()
    with torch.autocast("cpu", torch.float16):
        out = ops.softmax_attention(query, key, value, 1.0)
        (slope,) = torch.autograd.grad(out.sum(), value, create_graph=True)
    assert slope.isfinite().all()
