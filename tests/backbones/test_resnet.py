"""Plugin lines in the toolboxes' ResNets: where plugins run, and what stays."""

import copy
import pickle

import pytest
import torch
from mmengine.model import BaseModule, revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

NON_LOCAL = dict(type="nlse_mm.NonLocal2d")
PAPER = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
UNIT_NORM = dict(type="Constant", layer="BatchNorm2d", val=1)
RES4 = (False, False, True, False)
ALL = ("before_conv1", "after_conv1", "after_conv2", "on_identity", "after_block")


def line(position="after_block", cfg=PAPER, stages=RES4, blocks=(-2,)):
    return dict(cfg=cfg, stages=stages, blocks=blocks, position=position)


def build(lines, depth=18, name="nlse_mm.ResNet", **kwargs):
    return MODELS.build(dict(type=name, depth=depth, plugins=lines, **kwargs))


def baseline_of(trunk, toolbox, depth=18, name="ResNet", **kwargs):
    """The stock backbone with the weights that ``trunk`` has."""
    stock = MODELS.build(dict(type=f"{toolbox}.{name}", depth=depth, **kwargs))
    keys = stock.state_dict().keys()
    stock.load_state_dict({k: v for k, v in trunk.state_dict().items() if k in keys})
    return stock


def outputs(trunk, train=False):
    generator = torch.Generator().manual_seed(1)
    dtype = next(trunk.parameters()).dtype
    x = torch.rand(2, 3, 75, 98, generator=generator, dtype=dtype)
    trunk.train(train)  # MMDetection's returns None
    return trunk(x)


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("initialise", [False, True])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("position", ALL)
def test_a_new_line_changes_no_output_at_the_start(
    toolbox, position, train, initialise
):
    trunk = build([line(position, blocks=None, stages=(True,) * 4)])
    if initialise:
        trunk.init_weights()
    assert same(outputs(trunk, train), outputs(baseline_of(trunk, toolbox), train))


@pytest.mark.parametrize("cfg", [NON_LOCAL, PAPER])
def test_identity_survives_the_init_of_the_backbone_and_of_what_holds_it(toolbox, cfg):
    trunk = build([line("after_conv3", cfg)], depth=50)
    holder = BaseModule([dict(type="Kaiming", layer="Conv2d", bias=1), UNIT_NORM])
    holder.trunk = trunk
    holder.init_weights()
    assert same(outputs(trunk), outputs(baseline_of(trunk, toolbox, 50)))


def test_what_the_user_asked_of_the_init_survives_it(in_mmdet):
    trunk = build([line(cfg=dict(**NON_LOCAL, zeros_init=False, std=0.2))], depth=50)
    trunk.init_weights()
    block = trunk.layer3[4].nonlocal_block
    for conv in (block.g.conv, block.theta.conv, block.conv_out.conv):
        assert conv.weight.std().item() == pytest.approx(0.2, rel=0.01)


def test_weights_that_a_pretrained_checkpoint_holds_are_kept(in_mmdet, tmp_path):
    trained = build([line()])
    nn.init.normal_(trained.layer3[0].nonlocal_block.conv_out.bn.weight)
    path = tmp_path / "trained.pth"
    torch.save(trained.state_dict(), path)
    trunk = build([line()], init_cfg=dict(type="Pretrained", checkpoint=str(path)))
    trunk.init_weights()
    assert same(outputs(trunk), outputs(trained))


def test_a_second_init_leaves_trained_plugins_alone(in_mmdet):
    trunk = build([line()])
    trunk.init_weights()
    nn.init.ones_(trunk.layer3[0].nonlocal_block.conv_out.bn.weight)
    trunk.init_weights()
    assert trunk.layer3[0].nonlocal_block.conv_out.bn.weight.min() == 1


def test_no_parameter_of_the_baseline_is_renamed(toolbox):
    trunk = build([line(), line("after_conv1")], depth=50)
    stock = MODELS.build(dict(type=f"{toolbox}.ResNet", depth=50))
    added = trunk.state_dict().keys() - stock.state_dict().keys()
    assert stock.state_dict().keys() <= trunk.state_dict().keys()
    assert {k.split("nonlocal_block")[0] for k in added} == {"layer3.4."}


def test_without_plugins_it_is_the_stock_class(toolbox):
    assert type(build(None)) is type(build(None, name=f"{toolbox}.ResNet"))
    assert isinstance(build([line()]), type(build(None)))


@pytest.mark.parametrize(("depth", "index"), [(50, 4), (101, 21), (152, 34)])
def test_minus_two_in_res4_is_right_before_the_last_block(in_mmdet, depth, index):
    trunk = build([line()], depth=depth)
    (place,) = [n for n, _ in trunk.named_modules() if n.endswith("nonlocal_block")]
    assert place == f"layer3.{index}.nonlocal_block"
    assert index == len(trunk.layer3) - 2


def expected_block(block, x, plugin, position):
    """He et al.'s residual block, with one plugin, written out."""

    def at(name, value):
        return plugin(value) if name == position else value

    out = at("before_conv1", x)
    out = at("after_conv1", block.bn1(block.conv1(out)).relu())
    if hasattr(block, "conv3"):
        out = at("after_conv2", block.bn2(block.conv2(out)).relu())
        out = at("after_conv3", block.bn3(block.conv3(out)))
    else:
        out = at("after_conv2", block.bn2(block.conv2(out)))
    identity = x if block.downsample is None else block.downsample(x)
    return at("after_block", (out + at("on_identity", identity)).relu())


@pytest.mark.parametrize("block_index", [0, 1], ids=["projected", "plain"])
@pytest.mark.parametrize(
    ("depth", "position"),
    [(18, p) for p in ALL] + [(50, p) for p in (*ALL, "after_conv3")],
)
def test_a_plugin_runs_at_its_position(toolbox, depth, position, block_index):
    affine = dict(type="nlse_mm.Affine", scale=2.0, shift=0.5)
    trunk = build([line(position, affine, blocks=(block_index,))], depth=depth)
    block = trunk.eval().layer3[block_index]
    x = torch.rand(2, block.conv1.in_channels, 5, 7)
    expected = expected_block(block, x, lambda v: 2 * v + 0.5, position)
    torch.testing.assert_close(block(x), expected)
    assert block.affine.in_channels == {
        "before_conv1": block.conv1.in_channels,
        "after_conv1": block.conv1.out_channels,
        "after_conv2": block.conv2.out_channels,
    }.get(position, expected.shape[1])


@pytest.mark.parametrize("position", ["after_conv1", "after_conv2"])
def test_plugins_get_the_width_of_a_resnext(toolbox, position):
    trunk = build(
        [line(position)], depth=50, name="nlse_mm.ResNeXt", groups=32, base_width=4
    )
    assert trunk.layer3[4].nonlocal_block.in_channels == 512
    stock = baseline_of(trunk, toolbox, 50, "ResNeXt", groups=32, base_width=4)
    assert same(outputs(trunk), outputs(stock))


def test_plugins_at_one_place_run_in_the_order_written(toolbox):
    double = dict(type="nlse_mm.Affine", scale=2.0)
    shift = dict(type="nlse_mm.Affine", shift=1.0)
    trunk = build([line("after_conv1", double), line("after_conv1", shift)]).eval()
    block = trunk.layer3[0]
    assert list(block._modules)[-2:] == ["affine", "affine_2"]
    x = torch.rand(1, 128, 4, 6)
    expected = expected_block(block, x, lambda v: 2 * v + 1, "after_conv1")
    torch.testing.assert_close(block(x), expected)


def test_postfix_names_a_plugin_as_stock_does(in_mmdet):
    cfg = dict(**NON_LOCAL, postfix="_last")
    ours = build([line("after_conv3", cfg, blocks=None)], depth=50)
    lines = [dict(cfg=cfg, stages=RES4, position="after_conv3")]
    stock = build(lines, depth=50, name="mmdet.ResNet")
    assert ours.state_dict().keys() == stock.state_dict().keys()


def test_the_stock_class_takes_our_plugins(toolbox):
    lines = [dict(cfg=PAPER, stages=RES4, position="after_conv3")]
    stock = build(lines, depth=50, name=f"{toolbox}.ResNet")
    stock.init_weights()
    assert same(outputs(stock), outputs(baseline_of(stock, toolbox, 50)))


def test_plugins_train_where_the_backbone_is_frozen(toolbox):
    lines = [line(stages=(True,) * 4)]
    trunk = build(lines, frozen_stages=4, norm_eval=True).train()
    trainable = {n for n, p in trunk.named_parameters() if p.requires_grad}
    plugin = {n for n, _ in trunk.named_parameters() if "nonlocal_block" in n}
    assert trainable == plugin
    norms = {n: m for n, m in trunk.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {n for n, m in norms.items() if m.training} == {
        n for n in norms if "nonlocal_block" in n
    }
    sum(o.mean() for o in outputs(trunk, train=True)).backward()
    for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        assert stage[0].nonlocal_block.conv_out.bn.weight.grad.abs().sum() > 0


def test_a_plugin_that_the_user_froze_stays_frozen(toolbox):
    trunk = build([line()], frozen_stages=4)
    trunk.layer3[0].nonlocal_block.requires_grad_(False)
    assert not any(p.requires_grad for p in trunk.train().parameters())


def awake():
    """A trunk whose plugin has an effect, so that losing it would show."""
    trunk = build([line()], depth=50)
    nn.init.normal_(trunk.layer3[4].nonlocal_block.conv_out.bn.weight, std=3.0)
    return trunk


@pytest.mark.parametrize(
    "survive",
    [
        copy.deepcopy,
        lambda m: pickle.loads(pickle.dumps(m)),
        lambda m: revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(m)),
        lambda m: copy.deepcopy(copy.deepcopy(m)),
    ],
    ids=["deepcopy", "pickle", "SyncBN and back", "copy of a copy"],
)
def test_plugins_survive(toolbox, survive):
    trunk = awake()
    expected = outputs(trunk)
    assert not same(expected, outputs(baseline_of(trunk, toolbox, 50)))
    survivor = survive(trunk)
    assert same(outputs(survivor), expected)
    assert type(survivor) is type(trunk)


def test_plugins_survive_the_fusion_of_convolutions_and_norms(toolbox):
    from mmcv.cnn import fuse_conv_bn

    trunk = awake().eval()
    expected = outputs(trunk)
    assert not same(expected, outputs(baseline_of(trunk, toolbox, 50)))
    fused = outputs(fuse_conv_bn(copy.deepcopy(trunk)))
    torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_gives_the_same_gradients(toolbox):
    plain = awake()
    saving = build([line()], depth=50, with_cp=True)
    saving.load_state_dict(plain.state_dict())
    for trunk in (plain.double(), saving.double()):
        sum(o.square().mean() for o in outputs(trunk, train=True)).backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_compiled_trunk_keeps_its_plugin_beside_a_plain_one(in_mmdet):
    trunk = awake()
    plain = baseline_of(trunk, "mmdet", 50)
    expected = outputs(trunk), outputs(plain)
    for module, wanted in zip((trunk, plain), expected, strict=True):
        compiled = torch.compile(module, fullgraph=True, backend="eager")
        torch.testing.assert_close(outputs(compiled), wanted)


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(style="caffe", dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
        dict(deep_stem=True, avg_down=True),
        dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)),
        dict(zero_init_residual=False, norm_cfg=dict(type="GN", num_groups=32)),
        dict(
            dcn=dict(type="DCN", deform_groups=1, fallback_on_stride=False),
            stage_with_dcn=(False, True, True, True),
        ),
    ],
    ids=["caffe dilated", "deep stem", "three stages", "GN", "DCN"],
)
def test_the_arguments_of_the_stock_class_go_through(toolbox, kwargs):
    stages = RES4[: kwargs.get("num_stages", 4)]
    trunk = build([line(stages=stages)], depth=50, **copy.deepcopy(kwargs))
    trunk.init_weights()
    stock = baseline_of(trunk, toolbox, 50, **kwargs)
    assert same(outputs(trunk), outputs(stock))


def test_v1d_and_v1c_are_the_toolboxs_own(toolbox):
    for name in ("ResNetV1d", "ResNetV1c"):
        if (name, toolbox) == ("ResNetV1c", "mmdet"):
            with pytest.raises(KeyError, match="deep_stem=True"):
                build([line()], name=f"nlse_mm.{name}")
            continue
        trunk = build([line()], name=f"nlse_mm.{name}")
        assert same(outputs(trunk), outputs(baseline_of(trunk, toolbox, name=name)))


def test_each_placed_plugin_is_logged(in_mmdet, caplog):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance("placement")
    logger.addHandler(caplog.handler)
    build([line(blocks=(0, -2))], depth=50)
    placed = [r.message for r in caplog.records if r.levelname == "INFO"]
    assert placed == [
        f"plugin NonLocal2d after_block in block {i} of 6 of res4: "
        f"layer3.{i}.nonlocal_block, 1024 channels"
        for i in (0, 4)
    ]


def test_lines_that_are_no_list_are_refused(in_mmdet):
    line = dict(cfg=NON_LOCAL, position="after_block")
    with pytest.raises(
        ValueError, match=r"^plugins=\{.* is not a list of plugin entries"
    ):
        MODELS.build(dict(type="nlse_mm.ResNet", depth=18, plugins=line))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (dict(position="after_blok"), r"plugins\[0\]: position='after_blok' is not"),
        (dict(position="after_conv3"), "this backbone's blocks"),
        (dict(blocks=(2,)), r"blocks=\(2,\) holds 2, but res4 has 2 blocks, -2 to 1"),
        (dict(blocks=(-3,)), "holds -3, but res4 has 2 blocks"),
        (dict(blocks=2), "blocks=2 is not a tuple of integers"),
        (dict(stages=(True, False)), "has 2 entries; the backbone has num_stages=4"),
        (dict(cfg=dict(type="nlse_mm.NonLocl2d")), r"type='nlse_mm.NonLocl2d' is not"),
        (dict(cfg=dict(type="NonLocl2d")), "nlse_mm.NonLocal2d"),
        (dict(cfg=dict(**NON_LOCAL, ratio=16)), r"plugins\[0\]: .*argument 'ratio'"),
        (dict(cfg=dict(reduction=2)), "is not a dict with a 'type'"),
        (dict(block=(1,)), "the key 'block' is not one of"),
        (dict(cfg=dict(**NON_LOCAL, mode="softmax")), "mode='softmax' is not one of"),
    ],
)
def test_a_wrong_line_ends_in_a_sentence(toolbox, wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        build([{**line(), **wrong}])
    assert "\n" not in str(error.value)
