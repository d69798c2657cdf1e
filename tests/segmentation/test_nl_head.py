"""Our NLHead is MMSegmentation's, without the map of all pairs."""

import copy

import pytest
import torch

pytest.importorskip("mmseg")

from mmengine.registry import MODELS, DefaultScope
from mmseg.models.decode_heads import NLHead as StockNLHead

from nlse_mm.ops.blocks import BLOCK_WEIGHTS
from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS
from nlse_mm.segmentation import NLHead

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


def pair(seed=0, **kwargs):
    """The stock head and ours with the same weights, none of them zero."""
    cfg = dict(
        in_channels=24,
        channels=16,
        num_classes=5,
        norm_cfg=dict(type="BN"),
        **kwargs,
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        stock, ours = StockNLHead(**cfg), NLHead(**cfg)
    generator = torch.Generator().manual_seed(seed)
    for parameter in stock.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    for name, buffer in stock.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


def features(*size):
    return [torch.randn(size, generator=torch.Generator().manual_seed(1))]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(2, 24, 9, 14), (1, 24, 33, 17)])
def test_logits_equal_the_stock_heads(mode, size):
    stock, ours = (head.eval() for head in pair(mode=mode))
    with torch.no_grad():
        expected, found = stock(features(*size)), ours(features(*size))
    assert expected.std() > 0.1
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    "kwargs",
    [dict(use_scale=False), dict(reduction=4), dict(concat_input=False)],
    ids=str,
)
def test_the_other_arguments_mean_what_they_do_in_the_stock_head(kwargs):
    stock, ours = (head.eval() for head in pair(**kwargs))
    default = pair()[1].eval()
    with torch.no_grad():
        expected = stock(features(1, 24, 9, 14))
        found = ours(features(1, 24, 9, 14))
        other = default(features(1, 24, 9, 14))
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (found - other).abs().max() > 1e-3  # the argument does something


@pytest.mark.parametrize("mode", ["embedded_gaussian", "dot_product"])
def test_gradients_of_a_training_step_equal_the_stock_heads(mode):
    stock, ours = (head.double() for head in pair(mode=mode, dropout_ratio=0))
    x = features(2, 24, 9, 14)[0].double()
    for head in (stock, ours):
        head.train()
        (head([x]) ** 2).mean().backward()
    expected = dict(stock.named_parameters())
    for name, parameter in ours.named_parameters():
        reference = expected[name].grad
        # Phi's bias has no effect under a softmax, g's none before a batch norm.
        largest = max(reference.abs().max(), 1e-6)
        assert (parameter.grad - reference).abs().max() <= 1e-9 * largest, name


def test_it_is_an_mmseg_head_that_starts_as_the_fcn_without_the_block():
    _, ours = pair()
    assert isinstance(ours, StockNLHead)
    ours.init_weights()
    x = torch.randn(1, 16, 5, 7)
    assert torch.equal(ours.nl_block.eval()(x), x)
    assert ours.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.2)


def test_whole_image_positions_take_memory_for_one_more_map_not_for_all_pairs():
    """4,096 positions: the stock map is 64 MiB, a feature map is 1 MiB."""
    largest = {}
    for name, head in zip(("stock", "ours"), pair(), strict=True):
        sizes = []

        class Seen(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                out = func(*args, **(kwargs or {}))
                for tensor in out if isinstance(out, (tuple, list)) else (out,):
                    if isinstance(tensor, torch.Tensor):
                        sizes.append(tensor.numel())  # noqa: B023
                return out

        with torch.no_grad(), Seen():
            head.eval()(features(1, 24, 64, 64))
        largest[name] = max(sizes)
    assert largest["stock"] >= 4096**2
    # A convolution's own unfolded input. Where an operation isn't one step, a block of
    # weights is seen, whose size doesn't grow with the queries.
    most = 4096 * 24 * 9 if HAS_CUSTOM_OPS else BLOCK_WEIGHTS
    assert largest["ours"] <= most


def test_a_copy_gives_the_same_logits():
    _, ours = pair()
    ours.eval()
    assert torch.equal(
        copy.deepcopy(ours)(features(1, 24, 5, 6)), ours(features(1, 24, 5, 6))
    )


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        (dict(mode="cosine"), "mode='cosine' is not one of"),
        (dict(reduction=0), "reduction=0 is not an integer of at least 1"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, sentence):
    cfg = dict(type="nlse_mm.NLHead", in_channels=8, channels=4, num_classes=2)
    with (
        DefaultScope.overwrite_default_scope("mmseg"),
        pytest.raises(ValueError, match=sentence),
    ):
        MODELS.build(cfg | kwargs)
