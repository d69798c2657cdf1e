"""SELayer: the paper's formula, the start that it was asked for, its fused form."""

import copy
import io

import pytest
import torch
from mmengine.model import BaseModule
from this_pytorch import OLD_EXPORTER, each_half_dtype
from torch import nn

from nlse_mm.plugins import SELayer

ODD = (2, 32, 5, 9)
VOLUME = (2, 32, 3, 5, 4)


def by_hand(layer, x):
    """Equations 2 to 4: squeeze, two layers, scale; with numbers, not modules."""
    w1, w2 = (conv.conv.weight[:, :, 0, 0] for conv in (layer.conv1, layer.conv2))
    b1, b2 = (
        0 if conv.conv.bias is None else conv.conv.bias
        for conv in (layer.conv1, layer.conv2)
    )
    out = torch.empty_like(x)
    for n in range(len(x)):
        squeezed = torch.stack([channel.mean() for channel in x[n]])
        gate = 1 / (1 + torch.exp(-(w2 @ (w1 @ squeezed + b1).clamp(min=0) + b2)))
        for c in range(x.shape[1]):
            out[n, c] = x[n, c] * gate[c] * (2 if layer.zero_init else 1)
    return out


def trained(**kwargs):
    layer = SELayer(32, **{"reduction": 4, **kwargs}).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("zero_init", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [ODD, (1, 32, 1, 1), (3, 32, 4, 2), VOLUME], ids=str)
def test_it_is_the_papers_formula(size, bias, zero_init):
    layer = trained(bias=bias, zero_init=zero_init)
    x = torch.randn(size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), by_hand(layer, x), rtol=1e-12, atol=1e-12)


class Block(nn.Module):
    """A norm, and the fused end of a block or what it stands for."""

    def __init__(self, layer, norm, is_fused):
        super().__init__()
        self.layer, self.norm, self.is_fused = layer, norm.double(), is_fused

    def forward(self, x):
        branch = self.norm(x)
        if self.is_fused:
            return self.layer.excite_add_relu(branch, x)
        return (self.layer(branch) + x).relu()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("size", [ODD, VOLUME], ids=str)
def test_excite_add_relu_is_the_end_of_a_block(size, last, train):
    norm = nn.BatchNorm2d if len(size) == 4 else nn.BatchNorm3d
    formats = torch.channels_last, torch.channels_last_3d
    x = torch.randn(size, dtype=torch.float64)
    x = x.to(memory_format=formats[len(size) - 4]) if last else x
    fused = Block(trained(), norm(32), True)
    plain = copy.deepcopy(fused)
    plain.is_fused = False
    found = []
    for block in (fused, plain):
        with torch.set_grad_enabled(train):
            given = x.clone().requires_grad_()
            y = block(given)
        assert y.stride() == x.stride()
        if train:
            (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
        gradients = [p.grad for p in (given, *block.parameters())] if train else []
        found.append([y.detach(), *gradients])
    torch.testing.assert_close(*found)


def test_zero_init_is_the_identity_bit_for_bit():
    x = torch.randn(ODD)
    layer = SELayer(32, zero_init=True)
    assert torch.equal(layer(x), x)
    assert torch.equal(layer.excitation(x), torch.ones(2, 32))


@pytest.mark.parametrize("zero_init", [False, True])
def test_what_the_user_asked_of_the_init_survives_what_holds_it(zero_init):
    holder = BaseModule([dict(type="Normal", layer="Conv2d", std=9.0, bias=9.0)])
    holder.layer = SELayer(256, zero_init=zero_init)
    holder.init_weights()
    w1, w2 = holder.layer.conv1.conv.weight, holder.layer.conv2.conv.weight
    # He et al., fan out: sqrt(2 / 16) and sqrt(2 / 256)
    assert w1.std().item() == pytest.approx((2 / 16) ** 0.5, rel=0.1)
    if zero_init:
        assert w2.abs().max() == 0
    else:
        assert w2.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.1)
    assert holder.layer.conv1.conv.bias.abs().max() == 0
    assert holder.layer.conv2.conv.bias.abs().max() == 0


@pytest.mark.parametrize(
    ("channels", "reduction", "divisor", "inside"),
    [
        (256, 16, 8, 16),
        (64, 16, 8, 8),  # at least the divisor
        (64, 16, 1, 4),  # the paper's C // r
        (200, 16, 8, 16),  # 12 is rounded to 16
        (160, 16, 8, 16),  # 10 would become 8, which is less than 0.9 of it
        (32, 32, 1, 1),
    ],
)
def test_the_width_inside(channels, reduction, divisor, inside):
    layer = SELayer(channels, reduction=reduction, divisor=divisor)
    assert layer.conv1.conv.weight.shape == (inside, channels, 1, 1)
    assert layer.conv2.conv.weight.shape == (channels, inside, 1, 1)


def test_its_parameters_have_mmpretrains_names():
    names = {"conv1.conv.weight", "conv2.conv.weight"}
    assert SELayer(32, bias=False).state_dict().keys() == names
    biases = {"conv1.conv.bias", "conv2.conv.bias"}
    assert SELayer(32).state_dict().keys() == names | biases


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (dict(reduction=64), "reduction=64 is not an integer between 1 and in_ch.*=32"),
        (dict(reduction=0), "reduction=0 is not an integer between"),
        (dict(reduction="16"), "reduction='16' is not an integer between"),
        (dict(reduction=16.0), "reduction=16.0 is not an integer between"),
        (dict(reduction=True), "reduction=True is not an integer between"),
        (dict(divisor=0), "divisor=0 is not an integer of at least 1"),
        (dict(divisor=8.0), "divisor=8.0 is not an integer of at least 1"),
    ],
)
def test_a_wrong_argument_ends_in_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        SELayer(32, **wrong)


@each_half_dtype
def test_autocast_is_right_where_a_half_precision_sum_overflows(dtype):
    layer = SELayer(32)
    x = torch.full((1, 32, 64, 64), 6e4 if dtype == torch.float16 else 1e30)
    with torch.autocast("cpu", dtype):
        out = layer(x.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), layer(x), rtol=0.01, atol=0)


class End(nn.Module):
    """The two ways in which a block runs an SE layer."""

    def __init__(self):
        super().__init__()
        self.layer = SELayer(32)

    def forward(self, x):
        return self.layer(x) + self.layer.excite_add_relu(1.0 * x, x)


def test_it_compiles_without_a_break_and_trains_alike():
    end, x = End(), torch.randn(ODD, requires_grad=True)
    compiled = torch.compile(end, fullgraph=True, backend="aot_eager")
    expected, out = end(x), compiled(x)
    torch.testing.assert_close(out, expected)
    (ours,) = torch.autograd.grad(out.square().sum(), x)
    (eager,) = torch.autograd.grad(expected.square().sum(), x)
    torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-5)


def test_the_old_onnx_exporter_gives_the_same():
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    end, file = End().eval(), io.BytesIO()
    torch.onnx.export(
        end,
        (torch.randn(ODD),),
        file,
        input_names=["x"],
        dynamic_axes=dict(x={0: "n", 2: "h", 3: "w"}),
        **OLD_EXPORTER,
    )
    session = runtime.InferenceSession(
        file.getvalue(), providers=["CPUExecutionProvider"]
    )
    x = torch.randn(3, 32, 7, 4)
    (y,) = session.run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), end(x), rtol=1e-4, atol=1e-5)
