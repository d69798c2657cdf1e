"""SE backbones: the paper's counts, its five positions, and what belongs to them."""

import copy
import pickle

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

LAST = 2048 * 1000 + 1000  # a classifier of 1,000 classes
RES4 = (False, False, True, False)
NL = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
NL_ENTRY = dict(cfg=NL, stages=RES4, blocks=(-2,), position="after_block")
POSITIONS = ("standard", "pre", "post", "identity", "3x3")


def build(name="SEResNet", depth=50, **kwargs):
    return MODELS.build(dict(type=f"nlse_mm.{name}", depth=depth, **kwargs))


def small(**kwargs):
    """A backbone of both toolboxes whose gates aren't near one half."""
    backbone = build(**{"base_channels": 16, "stem_channels": 16, **kwargs})
    awaken(backbone)
    return backbone


def awaken(backbone):
    for name, parameter in backbone.named_parameters():
        if "se_layer" in name:
            nn.init.normal_(parameter, std=1.0)


def evaluated(backbone):
    backbone.eval()  # the toolboxes' own returns None
    return backbone


def outputs(backbone, train=False, size=(75, 98)):
    generator = torch.Generator().manual_seed(1)
    dtype = next(backbone.parameters()).dtype
    x = torch.rand(2, 3, *size, generator=generator, dtype=dtype)
    backbone.train(train)
    return backbone(x)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def parameters(module):
    return sum(p.numel() for p in module.parameters())


# The counts of the paper (tables 2, 10 and 15) and of timm's models, to the last digit.
@pytest.mark.parametrize(
    ("name", "depth", "kwargs", "expected"),
    [
        ("SEResNet", 50, dict(reduction=2), 45_699_240),
        ("SEResNet", 50, dict(reduction=4), 35_635_688),
        ("SEResNet", 50, dict(reduction=8), 30_603_912),
        ("SEResNet", 50, dict(), 28_088_024),
        ("SEResNet", 50, dict(reduction=32), 26_830_080),
        ("SEResNet", 50, dict(se_position="3x3"), 25_719_776),
        ("SEResNet", 101, dict(), 49_326_872),
        ("SEResNet", 152, dict(), 66_821_848),
        ("SEResNeXt", 50, dict(), 27_559_896),
        ("SEResNeXt", 101, dict(), 48_955_416),
        ("SENet", 154, dict(), 115_088_984),
    ],
)
def test_it_has_the_published_number_of_parameters(
    toolbox, name, depth, kwargs, expected
):
    assert parameters(build(name, depth, **kwargs)) + LAST == expected


@pytest.mark.parametrize(
    ("name", "depth", "kwargs", "expected"),
    [
        ("SEResNet", 50, dict(), 4.11e9),
        ("SEResNet", 50, dict(style="caffe"), 3.88e9),
        ("SEResNet", 101, dict(), 7.84e9),
        ("SEResNet", 152, dict(), 11.57e9),
        ("SEResNeXt", 50, dict(), 4.26e9),
        ("SENet", 154, dict(pool_ceil_mode=True), 20.77e9),
    ],
)
def test_it_has_the_published_number_of_multiplications(
    in_mmdet, name, depth, kwargs, expected
):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        backbone = evaluated(build(name, depth, **kwargs))
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            backbone(torch.rand(1, 3, 224, 224))
    multiplications = counter.get_total_flops() / 2 + 2048 * 1000
    assert multiplications == pytest.approx(expected, rel=0.01)


def expected_block(block, x, se_position):
    """He et al.'s block with an SE layer in one of the paper's five places."""

    def excited(position, value):
        return block.se_layer(value) if position == se_position else value

    out = block.bn1(block.conv1(excited("pre", x))).relu()
    if hasattr(block, "conv3"):
        out = excited("3x3", block.bn2(block.conv2(out)).relu())
        out = block.bn3(block.conv3(out))
    else:
        out = block.bn2(block.conv2(out))
    identity = x if block.downsample is None else block.downsample(x)
    out = excited("standard", out) + excited("identity", identity)
    return excited("post", out.relu())


@pytest.mark.parametrize("index", [0, 1], ids=["projected", "plain"])
@pytest.mark.parametrize(
    ("depth", "se_position"),
    [(50, p) for p in POSITIONS] + [(18, p) for p in POSITIONS[:-1]],
)
def test_the_se_layer_is_where_the_paper_has_it(toolbox, depth, se_position, index):
    backbone = small(depth=depth, se_position=se_position).double()
    block = backbone.layer3[index].train()
    x = torch.rand(2, block.conv1.in_channels, 5, 7, dtype=torch.float64)
    x.requires_grad_()
    wanted = [x, *block.parameters()]
    expected = expected_block(block, x, se_position)
    theirs = torch.autograd.grad(expected.square().sum(), wanted)
    y = block(x)
    torch.testing.assert_close(y, expected)
    ours = torch.autograd.grad(y.square().sum(), wanted)
    torch.testing.assert_close(ours, theirs)


def test_se_layers_have_mmpretrains_names(toolbox):
    backbone = build()
    stock = MODELS.build(dict(type=f"{toolbox}.ResNet", depth=50)).state_dict()
    added = backbone.state_dict().keys() - stock.keys()
    assert stock.keys() <= backbone.state_dict().keys()
    assert added == {
        f"layer{s + 1}.{b}.se_layer.{conv}.conv.{kind}"
        for s, blocks in enumerate((3, 4, 6, 3))
        for b in range(blocks)
        for conv in ("conv1", "conv2")
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("position", ["after_conv3", "after_block"])
def test_zero_init_entries_leave_a_trained_backbone_as_it_was(toolbox, position):
    cfg = dict(type="nlse_mm.SELayer", zero_init=True)
    backbone = build("ResNet", plugins=[dict(cfg=cfg, position=position)])
    backbone.init_weights()
    stock = MODELS.build(dict(type=f"{toolbox}.ResNet", depth=50))
    # Norms as after training, so that every branch counts.
    for name, parameter in stock.named_parameters():
        if "bn" in name:
            nn.init.uniform_(parameter, 0.2, 0.6)
    backbone.load_state_dict(stock.state_dict(), strict=False)
    for train in (False, True):
        assert same(outputs(backbone, train), outputs(stock, train))
    with torch.no_grad():
        assert same(outputs(backbone), outputs(stock))


def test_frozen_stages_freeze_their_se_layers_and_no_plugin(toolbox):
    entry = dict(cfg=dict(NL), position="after_block")
    backbone = small(frozen_stages=2, plugins=[entry])
    for again in range(2):  # as built, and in training
        trainable = {n for n, p in backbone.named_parameters() if p.requires_grad}
        stages = {n.split(".")[0] for n in trainable if "nonlocal" not in n}
        assert stages == {"layer3", "layer4"}
        assert "layer3.0.se_layer.conv1.conv.weight" in trainable
        assert "layer1.0.nonlocal_block.g.0.conv.weight" in trainable
        assert not any("layer1.0.se" in n for n in trainable), again
        backbone.train()


def test_a_backbone_without_plugin_entries_freezes_as_built(toolbox):
    backbone = small(frozen_stages=4)
    assert not any(p.requires_grad for p in backbone.parameters())


def test_norm_eval_stops_the_backbones_norms_and_not_the_plugins(toolbox):
    backbone = small(norm_eval=True, plugins=[NL_ENTRY])
    backbone.train()
    norms = {n: m for n, m in backbone.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert [n for n, m in norms.items() if m.training] == [
        "layer3.4.nonlocal_block.conv_out.bn"
    ]


def test_plugin_modules_are_the_entries_and_not_the_backbones_layers(toolbox):
    entry = dict(cfg=dict(type="nlse_mm.SELayer"), stages=RES4, position="after_conv3")
    backbone = small(plugins=[NL_ENTRY, entry])
    block = backbone.layer3[4]
    assert [n for n, _ in block.named_children()][-3:] == [
        "se_layer",
        "nonlocal_block",
        "se_layer_2",
    ]
    assert block.se_layer not in backbone.plugin_modules()
    assert len(backbone.plugin_modules()) == 7


def test_entries_run_after_the_se_layer_of_their_place(toolbox):
    affine = dict(type="nlse_mm.Affine", scale=2.0, shift=0.5)
    entry = dict(cfg=affine, stages=RES4, blocks=(1,), position="after_conv3")
    block = evaluated(small(plugins=[entry])).layer3[1]
    x = torch.rand(2, 256, 5, 7)
    plain = x
    for i in (1, 2, 3):
        plain = getattr(block, f"bn{i}")(getattr(block, f"conv{i}")(plain))
        plain = plain.relu() if i < 3 else plain
    expected = (2 * block.se_layer(plain) + 0.5 + x).relu()
    torch.testing.assert_close(block(x), expected)


def test_the_backbones_init_initialises_its_se_layers(toolbox):
    backbone = small()
    backbone.init_weights()
    conv = backbone.layer4[2].se_layer.conv2.conv
    assert conv.bias.abs().max() == 0
    assert conv.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.1)
    assert backbone.layer4[2].bn3.weight.abs().max() == 0  # zero_init_residual


def test_a_watched_se_layer_runs_by_itself_and_gives_the_same(toolbox):
    backbone = evaluated(small())
    expected, seen = outputs(backbone), []
    layer = backbone.layer2[1].se_layer
    handle = layer.register_forward_hook(lambda m, i, o: seen.append((i[0], o)))
    torch.testing.assert_close(outputs(backbone), expected)
    handle.remove()
    outputs(backbone)
    ((x, out),) = seen
    torch.testing.assert_close(out, x * layer.excitation(x)[:, :, None, None])


@pytest.mark.parametrize("hooked", ["conv3", "bn3"])
def test_what_a_forward_hook_keeps_is_not_overwritten(in_mmdet, hooked):
    block, kept = evaluated(small()).layer2[1], []
    if hooked == "conv3":
        block.bn3 = nn.Identity()  # as after folding the norm into the convolution
    getattr(block, hooked).register_forward_hook(
        lambda m, i, o: kept.append((o, o.clone()))
    )
    with torch.no_grad():
        block(torch.randn(1, 128, 4, 4))
    ((output, as_it_was),) = kept
    assert torch.equal(output, as_it_was)


@pytest.mark.parametrize("hooked", ["conv3", "bn3", "se_layer"])
@pytest.mark.parametrize(
    "register", ["register_full_backward_hook", "register_full_backward_pre_hook"]
)
def test_backward_hooks_are_called(in_mmdet, hooked, register):
    block, seen = small().layer2[1], []
    if hooked == "conv3":
        block.bn3 = nn.Identity()
    x = torch.randn(2, 128, 4, 4, requires_grad=True)
    (expected,) = torch.autograd.grad(block(x).square().mean(), x)
    getattr(getattr(block, hooked), register)(lambda *args: seen.append(args[-1][0]))
    (gradient,) = torch.autograd.grad(block(x).square().mean(), x)
    torch.testing.assert_close(gradient, expected)
    assert [g.shape for g in seen] == [x.shape]


def test_hooks_of_the_last_activation_are_called(in_mmdet):
    block, seen = evaluated(small()).layer2[1], []
    block.relu.register_forward_hook(lambda m, i, o: seen.append(o.shape[1]))
    block(torch.randn(1, 128, 4, 4))
    assert seen == [32, 32, 128]


def test_another_activation_is_respected(in_mmdet):
    block = evaluated(small()).layer2[1]
    block.relu = nn.Identity()
    assert block(torch.randn(1, 128, 4, 4)).min() < 0


@pytest.mark.parametrize(
    "survive",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["deepcopy", "pickle"],
)
@pytest.mark.parametrize("entries", [None, [NL_ENTRY]], ids=["SE", "SE and NL"])
def test_it_survives(toolbox, survive, entries):
    backbone = small(plugins=entries, frozen_stages=1)
    survivor = survive(backbone)
    assert same(outputs(survivor), outputs(backbone))
    frozen = [n for n, p in survivor.named_parameters() if not p.requires_grad]
    assert frozen == [n for n, p in backbone.named_parameters() if not p.requires_grad]


def test_gradient_checkpointing_gives_the_same_gradients(toolbox):
    plain, saving = small(), small(with_cp=True)
    saving.load_state_dict(plain.state_dict())
    for backbone in (plain.double(), saving.double()):
        sum(o.square().mean() for o in outputs(backbone, train=True)).backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_it_compiles_without_a_break(in_mmdet):
    backbone = small(plugins=[NL_ENTRY])
    expected = outputs(backbone)
    compiled = torch.compile(backbone, fullgraph=True, backend="eager")
    torch.testing.assert_close(outputs(compiled), expected, rtol=1e-4, atol=1e-4)


def test_it_exports(in_mmdet):
    backbone = evaluated(small(depth=18))
    program = torch.export.export(backbone, (torch.rand(2, 3, 64, 96),))
    x = torch.rand(2, 3, 64, 96)
    torch.testing.assert_close(program.module()(x), backbone(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(style="caffe", dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
        dict(deep_stem=True, avg_down=True),
        dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)),
        dict(norm_cfg=dict(type="GN", num_groups=8)),
        dict(
            dcn=dict(type="DCNv2", deform_groups=1, fallback_on_stride=False),
            stage_with_dcn=(False, True, True, True),
        ),
        dict(depth=34, se_position="post"),
    ],
    ids=["caffe dilated", "deep stem", "three stages", "GN", "DCN", "R34 post"],
)
def test_the_arguments_of_the_toolboxs_class_go_through(toolbox, kwargs):
    backbone = small(**copy.deepcopy(kwargs))
    backbone.init_weights()
    sum(o.square().mean() for o in outputs(backbone, train=True)).backward()
    layer = backbone.layer3[0].se_layer
    depth = kwargs.pop("depth", 50)
    kwargs.pop("se_position", None)
    stock = MODELS.build(
        dict(
            type=f"{toolbox}.ResNet",
            depth=depth,
            base_channels=16,
            stem_channels=16,
            **kwargs,
        )
    )
    sizes = [o.shape for o in outputs(stock)]
    assert [o.shape for o in outputs(backbone)] == sizes
    for parameter in layer.parameters():
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(("size", "expected"), [(75, 19), (76, 19), (77, 19), (78, 19)])
def test_ceil_mode_pools_without_padding(in_mmdet, size, expected):
    backbone = small(pool_ceil_mode=True, out_indices=(0,))
    assert backbone.maxpool.padding == 0
    assert outputs(backbone, size=(size, size))[0].shape[2:] == (expected, expected)
    maps = torch.full((1, 1, 4, 4), -1.0)
    maps[..., 3] = 5.0
    # Columns 0 to 2 and, ragged, 2 and 3.
    assert backbone.maxpool(maps)[0, 0].tolist() == [[-1, 5], [-1, 5]]


def test_senet_154_has_its_three_changes(toolbox):
    backbone = build("SENet", 154)
    stem = [m for m in backbone.stem if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.stride[0]) for m in stem] == [(64, 2), (64, 1), (128, 1)]
    for stage, width in enumerate((256, 512, 1024, 2048)):
        first = getattr(backbone, f"layer{stage + 1}")[0]
        assert first.conv1.out_channels == width // 2 == first.bn1.num_features
        assert (first.conv2.in_channels, first.conv2.out_channels) == (
            width // 2,
            width,
        )
        assert first.conv2.groups == 64
        size, stride = (1, 1) if stage == 0 else (3, 2)
        assert first.downsample[0].kernel_size == (size, size)
        assert first.downsample[0].stride == (stride, stride)
    assert [o.shape[1:] for o in outputs(backbone, size=(64, 96))] == [
        (256, 16, 24),
        (512, 8, 12),
        (1024, 4, 6),
        (2048, 2, 3),
    ]


def test_senet_takes_the_toolboxs_arguments(toolbox):
    backbone = build(
        "SENet",
        154,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1,),
        frozen_stages=1,
        dcn=dict(type="DCNv2", deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True),
    )
    assert type(backbone.layer2[1].conv2).__name__ == "ModulatedDeformConv2dPack"
    trained = {
        n.split(".")[0] for n, p in backbone.named_parameters() if p.requires_grad
    }
    assert trained == {"layer2"}
    outputs(backbone, train=True, size=(64, 64))[0].mean().backward()
    assert backbone.layer2[0].downsample[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "depth", "wrong", "sentence"),
    [
        ("SEResNet", 50, dict(se_position="after"), "se_position='after' is not one"),
        ("SEResNet", 18, dict(se_position="3x3"), "depths 18 and 34 have none"),
        ("SEResNet", 50, dict(se_position=["pre"]), r"=\['pre'\] is not one of"),
        ("SEResNet", 50, dict(reduction=512), "^reduction: .*=512 .* in_channels=256"),
        ("SEResNeXt", 50, dict(reduction=0), "reduction=0 is not an integer between"),
        ("SEResNeXt", 50, dict(pool_ceil_mode="no"), "pool_ceil_mode='no' is not True"),
        ("SENet", 152, dict(), "depth=152 is not 154"),
        ("SENet", 154, dict(groups=32), "groups=32 is not 64"),
        ("SENet", 154, dict(deep_stem=False), "deep_stem=False is not True"),
    ],
)
def test_a_wrong_argument_ends_in_a_sentence(toolbox, name, depth, wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        build(name, depth, **wrong)
    assert "\n" not in str(error.value)


def test_an_unknown_argument_is_refused(toolbox):
    with pytest.raises(TypeError, match="se_reduction"):
        build(se_reduction=4)
