"""The non-local block against MMCV's, and where that can't run, its formula."""

import copy

import pytest
import torch
from mmcv.cnn import NonLocal2d as Stock
from this_pytorch import each_half_dtype
from torch import nn

from nlse_mm.plugins import NonLocal1d, NonLocal2d, NonLocal3d

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
each_mode = pytest.mark.parametrize("mode", MODES)
sub_sampled = pytest.mark.parametrize("sub_sample", [False, True])
F64 = dict(dtype=torch.float64)


def pair(mode, channels=12, std=0.4, **kwargs):
    """MMCV's block and ours, with the same weights, all of them at work."""
    stock = Stock(channels, mode=mode, **kwargs)
    for parameter in stock.parameters():
        nn.init.normal_(parameter, std=std)
    ours = NonLocal2d(channels, mode=mode, **kwargs)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


def run(block, x):
    """Output, gradient of the input, gradients of the parameters by name."""
    x = x.clone().requires_grad_()
    out = block(x)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    (out * weight).sum().backward()
    gradients = {n: p.grad for n, p in block.named_parameters()}
    return {"output": out.detach(), "input": x.grad, **gradients}


def formula(block, x):
    """Equations 1 to 6 of the paper, with the P x Q weights written out."""
    pool = block.g[1] if block.sub_sample else nn.Identity()
    conv = {n: getattr(block, n, None) for n in ("g", "phi")}
    if block.sub_sample:
        conv = {
            n: c[0] if isinstance(c, nn.Sequential) else None for n, c in conv.items()
        }
    before, after = (pool, nn.Identity()) if block.pool_first else (nn.Identity(), pool)
    g = after(conv["g"](before(x))).flatten(2)
    if block.mode == "gaussian":
        theta, phi = x.flatten(2), pool(x).flatten(2)
    else:
        theta, phi = block.theta(x).flatten(2), after(conv["phi"](before(x))).flatten(2)
    count = phi.shape[2]
    if block.mode == "concatenation":
        d = block.inter_channels
        w = block.concat_project.conv.weight.flatten()
        a = torch.einsum("d,ndp->np", w[:d], theta)
        b = torch.einsum("d,ndq->nq", w[d:], phi)
        weights = (a[:, :, None] + b[:, None]).relu() / count
    else:
        weights = torch.einsum("ndp,ndq->npq", theta, phi)
        if block.mode == "dot_product":
            weights = weights / count
        else:
            if block.mode == "embedded_gaussian" and block.use_scale:
                weights = weights / block.inter_channels**0.5
            weights = weights.softmax(dim=2)
    y = torch.einsum("npq,ndq->ndp", weights, g)
    return x + block.conv_out(y.unflatten(2, x.shape[2:]))


class Formula(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return formula(self.block, x)


def assert_same(ours, expected, tolerance):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            ours[name],
            value,
            rtol=tolerance,
            atol=tolerance,
            msg=lambda m, n=name: n + m,
        )


@pytest.mark.parametrize("mode", MODES[:3])
@sub_sampled
@pytest.mark.parametrize("norm", [None, dict(type="BN")])
@pytest.mark.parametrize("size", [(2, 12, 7, 5), (1, 12, 6, 9), (3, 12, 2, 2)])
def test_values_and_every_gradient_equal_mmcvs(mode, sub_sample, norm, size):
    stock, ours = pair(mode, sub_sample=sub_sample, norm_cfg=norm)
    x = torch.randn(size, **F64)
    assert_same(run(ours.double(), x), run(stock.double(), x), 1e-12)


@pytest.mark.parametrize("mode", MODES[:3])
@sub_sampled
@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_in_inference_equals_mmcvs(mode, sub_sample, affine):
    norm = dict(type="BN", affine=affine)
    stock, ours = pair(mode, sub_sample=sub_sample, norm_cfg=norm, zeros_init=affine)
    nn.init.normal_(stock.conv_out.bn.running_mean)
    nn.init.uniform_(stock.conv_out.bn.running_var, 0.5, 2)
    ours.load_state_dict(stock.state_dict())
    stock.eval(), ours.eval()
    x = torch.randn(2, 12, 7, 5, **F64)
    assert_same(run(ours.double(), x), run(stock.double(), x), 1e-12)


@sub_sampled
@pytest.mark.parametrize("use_scale", [False, True])
def test_concatenation_equals_mmcvs_values(sub_sample, use_scale):
    stock, ours = pair("concatenation", sub_sample=sub_sample, use_scale=use_scale)
    x = torch.randn(2, 12, 7, 5, **F64)
    # MMCV's can't go backward: it divides the rectifier's output in place.
    torch.testing.assert_close(
        ours.double()(x), stock.double()(x), rtol=1e-12, atol=1e-12
    )


@each_mode
@pytest.mark.parametrize(
    "kwargs",
    [
        dict(),
        dict(use_scale=False),
        dict(sub_sample=True),
        dict(sub_sample=True, pool_first=True),
        dict(reduction=5),
        dict(reduction=100),
    ],
    ids=str,
)
def test_values_and_every_gradient_are_the_papers(mode, kwargs):
    _, ours = pair(mode, **{k: v for k, v in kwargs.items() if k != "pool_first"})
    if kwargs.get("pool_first"):
        weights = ours.state_dict()
        ours = NonLocal2d(12, mode=mode, **kwargs)
        ours.load_state_dict(weights)
    x = torch.randn(2, 12, 7, 5, **F64)
    expected = run(Formula(copy.deepcopy(ours).double()), x)
    expected = {k.removeprefix("block."): v for k, v in expected.items()}
    assert_same(run(ours.double(), x), expected, 1e-12)


@pytest.mark.parametrize("mode", MODES[:3])
@sub_sampled
def test_the_error_in_single_precision_is_at_most_twice_mmcvs(mode, sub_sample):
    stock, ours = pair(mode, channels=64, std=0.1, sub_sample=sub_sample)
    x = torch.randn(2, 64, 17, 13)
    exact = run(copy.deepcopy(stock).double(), x.double())
    theirs, mine = run(stock, x), run(ours, x)
    for name, value in exact.items():
        # A gradient that is zero in exact arithmetic is compared with the largest.
        unit = max(value.abs().max().item(), 1e-3)
        allowed = 2 * (theirs[name] - value).abs().max().item() + 2e-7 * unit
        assert (mine[name] - value).abs().max().item() <= allowed, name


@each_mode
@sub_sampled
@pytest.mark.parametrize("norm", [None, dict(type="BN")])
def test_the_state_dict_is_mmcvs(mode, sub_sample, norm):
    stock, ours = (
        cls(12, mode=mode, sub_sample=sub_sample, norm_cfg=norm)
        for cls in (Stock, NonLocal2d)
    )
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (stock, ours)]
    assert shapes[0] == shapes[1]


@each_mode
@pytest.mark.parametrize("norm", [None, dict(type="BN")])
def test_init_weights_without_arguments_keeps_what_was_asked(mode, norm):
    kwargs = dict(mode=mode, norm_cfg=norm, sub_sample=True)
    block = NonLocal2d(256, zeros_init=False, std=0.3, **kwargs)
    nn.init.zeros_(block.g[0].conv.weight)
    block.init_weights()
    last = block.conv_out.norm if norm else block.conv_out.conv
    assert last.weight.std().item() == pytest.approx(0.3, rel=0.2)
    assert block.g[0].conv.weight.std().item() == pytest.approx(0.3, rel=0.02)
    block.init_weights(std=0.1, zeros_init=True)
    assert not last.weight.any()
    assert block.g[0].conv.weight.std().item() == pytest.approx(0.1, rel=0.02)


@each_mode
def test_a_single_position(mode):
    _, block = pair(mode)
    x = torch.randn(2, 12, 1, 1)
    torch.testing.assert_close(block(x), formula(block, x))


@pytest.mark.parametrize(
    ("cls", "norm", "size"),
    [(NonLocal1d, "BN1d", (2, 12, 14)), (NonLocal3d, "BN3d", (2, 12, 3, 4, 6))],
)
@each_mode
@sub_sampled
def test_sequences_and_volumes(cls, norm, size, mode, sub_sample):
    block = cls(12, mode=mode, sub_sample=sub_sample, norm_cfg=dict(type=norm))
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.4)
    x = torch.randn(size)
    torch.testing.assert_close(block.train()(x), formula(block, x))


@each_half_dtype
@each_mode
def test_half_precision_stays_finite_where_mmcvs_overflows(dtype, mode):
    # theta and phi of 16 in 512 channels: the unscaled product is 131,072.
    block = NonLocal2d(1024, mode=mode, zeros_init=False)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        for name in ("theta", "phi"):
            if hasattr(block, name):
                getattr(block, name).conv.bias.fill_(16.0)
        block.g.conv.bias.fill_(0.005)  # so that no true gradient overflows
    x = torch.zeros(1, 1024, 6, 7)
    if mode == "gaussian":
        x += 16.0
    out = run(block.to(dtype), x.to(dtype))
    assert all(value.isfinite().all() for value in out.values())


@each_half_dtype
@each_mode
@sub_sampled
def test_autocast_is_as_near_as_mmcv_and_keeps_the_residual(dtype, mode, sub_sample):
    stock, ours = pair(mode, channels=32, std=0.15, sub_sample=sub_sample)
    x = torch.randn(2, 32, 9, 8)
    exact = copy.deepcopy(stock).double()(x.double())
    with torch.autocast("cpu", dtype=dtype):
        out, theirs = ours(x), stock(x)
    assert out.dtype == torch.float32
    assert (out - exact).abs().max() <= 2 * (theirs - exact).abs().max() + 1e-3


def test_a_convolution_that_is_not_plain_is_called_as_it_is():
    block = NonLocal2d(16, conv_cfg=dict(type="ConvAWS"), zeros_init=False).double()
    x = torch.randn(2, 16, 7, 5, **F64)
    torch.testing.assert_close(block(x), formula(block, x))


def test_an_image_too_small_to_sub_sample_ends_in_a_sentence():
    with pytest.raises(ValueError, match=r"sub_sample=True .* 1 x 5"):
        NonLocal2d(12, sub_sample=True)(torch.randn(1, 12, 1, 5))


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        (dict(mode="softmax"), "mode='softmax' is not one of"),
        (dict(reduction=0), "reduction=0 is not"),
        (dict(pool_first=True), "pool_first=True has no meaning"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        NonLocal2d(12, **kwargs)
