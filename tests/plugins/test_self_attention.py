"""Self-attention with relative positions, against its formula in loops."""

import math

import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn

from nlse_mm.ops import relative
from nlse_mm.plugins import SelfAttention2d
from nlse_mm.plugins.relative_encoding import ENCODINGS

each_form = pytest.mark.parametrize(
    ("encoding", "content"), [(e, c) for e in ENCODINGS for c in (False, True)]
)


def layer_of(encoding, content, stride=1, channels=6, out_channels=4):
    layer = SelfAttention2d(
        channels,
        out_channels,
        stride=stride,
        num_heads=3,
        encoding=encoding,
        content=content,
        max_offset=4,
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer.double()


def score(layer, head, offset):
    """Equation 9 and its generalisations for one head and one offset."""
    encoding = layer.encoding
    if hasattr(encoding, "table"):
        most = encoding.max_offset
        at = [max(-most, min(most, d)) + most for d in offset]
        return encoding.table[0, head, at[0]] + encoding.table[1, head, at[1]]
    d = torch.tensor(offset, dtype=torch.float64) - encoding.centre[head]
    s = encoding.sharpness[head]
    return -0.5 * ((s.T @ d) if encoding.full else s * d).square().sum()


def by_loops(layer, x):
    height, width = x.shape[2:]
    places = [(i, j) for i in range(height) for j in range(width)]
    asking = [p for p in places if p[0] % layer.stride == p[1] % layer.stride == 0]
    outputs = []
    for image in x:
        flat = image.flatten(1)  # (C, P)
        if layer.content:
            query, key = (
                torch.einsum("dc,cp->dp", w.weight[:, :, 0, 0], flat)
                for w in (layer.query, layer.key)
            )
        columns = []
        for q in asking:
            means = []
            for head in range(layer.num_heads):
                scores = torch.stack(
                    [score(layer, head, (k[0] - q[0], k[1] - q[1])) for k in places]
                )
                if layer.content:
                    size = layer.in_channels // layer.num_heads
                    own = slice(head * size, (head + 1) * size)
                    at = q[0] * width + q[1]
                    products = query[own, at] @ key[own]
                    scores = scores + products / math.sqrt(size)
                means.append(flat @ scores.softmax(0))
            columns.append(
                layer.value.weight[:, :, 0, 0] @ torch.cat(means) + layer.value.bias
            )
        outputs.append(torch.stack(columns, 1))
    sizes = (math.ceil(height / layer.stride), math.ceil(width / layer.stride))
    return torch.stack(outputs).unflatten(2, sizes)


def gradients(layer, run, x):
    x = x.clone().requires_grad_()
    layer.zero_grad()
    out = run(x)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return [out.detach(), x.grad, *(p.grad.clone() for p in layer.parameters())]


@each_form
@pytest.mark.parametrize("stride", [1, 2])
def test_values_and_gradients_are_the_formulas(monkeypatch, encoding, content, stride):
    monkeypatch.setattr(relative, "WEIGHT_CHUNK", 300)  # several chunks
    layer = layer_of(encoding, content, stride)
    x = torch.randn(2, 6, 4, 7, dtype=torch.float64)
    expected = gradients(layer, lambda x: by_loops(layer, x), x)
    for own, theirs in zip(gradients(layer, layer, x), expected, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_from_conv_is_the_convolution(kernel, stride, dilation):
    same = dilation * (kernel - 1) // 2
    conv = nn.Conv2d(3, 4, kernel, stride, same, dilation)
    x = torch.randn(2, 3, 17, 14)
    out = SelfAttention2d.from_conv(conv)(x)
    inside = torch.ones(1, 1, 17, 14)
    kernel_of_ones = torch.ones(1, 1, kernel, kernel)
    reached = nn.functional.conv2d(inside, kernel_of_ones, None, stride, same, dilation)
    interior = (reached == kernel**2).expand_as(out)
    assert interior.any()
    torch.testing.assert_close(out[interior], conv(x)[interior], rtol=1e-5, atol=1e-5)
    conv.padding_mode = "replicate"
    conv._reversed_padding_repeated_twice = [same] * 4
    torch.testing.assert_close(out, conv(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("conv", "sentence"),
    [
        (nn.Conv2d(4, 4, 3, padding=1, groups=2), "groups=2 is not 1"),
        (nn.Conv2d(4, 4, 3), "padding=0 is not SAME padding"),
        (nn.Conv2d(4, 4, 3, padding="valid"), "padding=0 is not SAME padding"),
        (nn.Conv2d(4, 4, (1, 3), padding=(0, 1)), "not the same in height and in"),
    ],
)
def test_from_conv_refuses_what_it_cannot_be(conv, sentence):
    with pytest.raises(ValueError, match=sentence):
        SelfAttention2d.from_conv(conv)


@pytest.mark.parametrize(("kernel", "padding"), [(3, "same"), (1, "valid")])
def test_from_conv_knows_padding_by_name(kernel, padding):
    conv = nn.Conv2d(2, 3, kernel, padding=padding, bias=False)
    x = torch.randn(1, 2, 6, 5)
    out, expected = SelfAttention2d.from_conv(conv)(x), conv(x)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(out[inner], expected[inner], rtol=1e-5, atol=1e-5)


@each_form
def test_the_attention_rows_of_a_strided_layer_give_its_output(encoding, content):
    layer = layer_of(encoding, content, stride=2)
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    weights = layer.attention(x)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:3]).double())
    means = torch.einsum("nhqp,ncp->nqhc", weights, x.flatten(2)).flatten(2)
    mixed = means @ layer.value.weight.flatten(1).T + layer.value.bias
    expected = mixed.transpose(1, 2).unflatten(2, (3, 2))
    torch.testing.assert_close(layer(x), expected, rtol=1e-10, atol=1e-10)
    some = torch.tensor([5, 0])
    torch.testing.assert_close(layer.attention(x, some), weights[:, :, some])


def test_it_takes_the_place_of_a_convolution_from_a_config():
    layer = build_conv_layer(
        dict(type="nlse_mm.SelfAttention2d"),
        8,
        6,
        kernel_size=3,
        stride=2,
        padding=1,
        bias=False,
    )
    assert layer.num_heads == 9
    assert layer(torch.randn(2, 8, 7, 10)).shape == (2, 6, 4, 5)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        (dict(encoding="cubic"), "encoding='cubic' is not one of"),
        (dict(num_heads=5, content=True), "num_heads=5 does not divide in_channels=8"),
        (dict(num_heads=0), "num_heads=0"),
        (dict(stride=2), "stride=2 needs out_channels"),
        (dict(out_channels=8, kernel_size=3, padding=0), "is not SAME padding"),
        (dict(groups=2), "groups=2"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        SelfAttention2d(8, **kwargs)
