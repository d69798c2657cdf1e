"""SE where the paper has it in networks beside ResNet: places, counts, the start."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from nlse_mm import add_plugins
from nlse_mm.plugins import SELayer

SE = dict(type="nlse_mm.SELayer")
NARROW = dict(SE, reduction=4)  # for the small networks here
SWIN = dict(embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4])
# base: the entry, the base's arguments, how many plugins these are
NETWORKS = {
    "MobileNetV2": (dict(after="layer*.*.conv"), dict(widen_factor=0.25), 17),
    "ShuffleNetV1": (
        dict(after="layers.*.*.g_conv_1x1_expand"),
        dict(widen_factor=0.5),
        16,
    ),
    "VGG": (dict(after="features.*.activate"), dict(depth=11), 8),
    "ResNet": (dict(after="layer*.*"), dict(depth=50, base_channels=8), 16),
    "SwinTransformer": (dict(output=0), dict(arch=SWIN, pad_small_map=True), 1),
}
DROPS = ("ResNet", "SwinTransformer")  # the others have no drop_path_rate


def both(base, **plugin):
    """The base with plugins, from ``init_weights``, and the base with its weights."""
    entry, kwargs, _ = NETWORKS[base]
    kwargs = dict(kwargs, drop_path_rate=0.5) if base in DROPS else kwargs
    if base == "ResNet":  # a branch that starts at zero hides whether it is dropped
        kwargs["zero_init_residual"] = False
    entries = [dict(entry, cfg=dict(NARROW, **plugin))]
    kind = dict(type="nlse_mm.WithPlugins", base=base, plugins=entries, **kwargs)
    ours = MODELS.build(kind)
    ours.init_weights()
    stock = MODELS.build(dict(kwargs, type=base))
    missing, unexpected = stock.load_state_dict(ours.state_dict(), strict=False)
    assert not missing
    assert unexpected
    return ours, stock


def run(model, seed, train):
    model.train(train)
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(seed)
    return model(x)[-1].detach()


@pytest.mark.parametrize("base", NETWORKS)
def test_in_mmpretrain_nothing_changes_at_the_start(in_mmpretrain, base):
    ours, stock = both(base, zero_init=True)
    assert sum(isinstance(m, SELayer) for m in ours.children()) == NETWORKS[base][2]
    for train in (False, True):
        out = run(ours, 1, train)
        assert torch.equal(out, run(stock, 1, train))
        assert out.std() > 0
    dropped = not torch.equal(run(stock, 1, True), run(stock, 2, True))
    assert dropped == (base in DROPS)


def test_shufflenets_layer_scales_the_branch_before_the_addition(in_mmpretrain):
    ours, _ = both("ShuffleNetV1")
    unit, plugin = ours.layers[0][1], ours.se_layer_after_layers_0_1_g_conv_1x1_expand
    for parameter in plugin.parameters():
        nn.init.normal_(parameter)
    ours.eval()
    x = torch.rand(1, unit.in_channels, 8, 8)
    branch = []
    handle = unit.g_conv_1x1_expand.bn.register_forward_hook(
        lambda _, __, out: branch.append(out)
    )
    out = unit(x)
    handle.remove()
    torch.testing.assert_close(out, (x + plugin(branch[0])).relu())
    assert not torch.allclose(out, (x + branch[0]).relu())


def separable(before, channels, stride):
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.Sequential(
            nn.Conv2d(before, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ),
    )


def mobilenet():
    """The first MobileNet (arXiv 1704.04861, table 1), which the SE paper took."""
    widths = [32, 64, *[128] * 2, *[256] * 2, *[512] * 6, *[1024] * 2]
    halve = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    stem = nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
    )
    sizes = zip(widths, widths[1:], halve, strict=False)
    blocks = nn.Sequential(*(separable(*size) for size in sizes))
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(stem, blocks, pool, nn.Linear(1024, 1000))


def test_mobilenet_grows_from_4_2_to_4_7_million_as_in_the_paper():
    model = mobilenet()
    before = sum(p.numel() for p in model.parameters())
    add_plugins(model, [dict(cfg=SE, after="1.*.3")], torch.rand(1, 3, 64, 64))
    after = sum(p.numel() for p in model.parameters())
    assert (before, after) == (4_231_976, 4_718_560)
