"""Plugins in residual blocks: where they run, and what stays of the backbone."""

import copy
import pickle

import pytest
import torch
from mmengine.model import BaseModule, revert_sync_batchnorm
from mmengine.registry import MODELS
from plugged_resnets import (
    NON_LOCAL,
    PAPER,
    RES4,
    baseline_of,
    build,
    entry,
    outputs,
    same,
)
from torch import nn

from nlse_mm.placement.into_blocks import place_in_blocks

UNIT_NORM = dict(type="Constant", layer="BatchNorm2d", val=1)
ALL = ("before_conv1", "after_conv1", "after_conv2", "on_identity", "after_block")


@pytest.mark.parametrize("initialise", [False, True])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("position", ALL)
def test_a_new_entry_changes_no_output_at_the_start(
    toolbox, position, train, initialise
):
    backbone = build([entry(position, blocks=None, stages=(True,) * 4)])
    if initialise:
        backbone.init_weights()
    assert same(
        outputs(backbone, train), outputs(baseline_of(backbone, toolbox), train)
    )


@pytest.mark.parametrize("cfg", [NON_LOCAL, PAPER])
def test_identity_survives_the_init_of_the_backbone_and_of_what_holds_it(toolbox, cfg):
    backbone = build([entry("after_conv3", cfg)], depth=50)
    holder = BaseModule([dict(type="Kaiming", layer="Conv2d", bias=1), UNIT_NORM])
    holder.backbone = backbone
    holder.init_weights()
    assert same(outputs(backbone), outputs(baseline_of(backbone, toolbox, 50)))


def test_what_the_user_asked_of_the_init_survives_it(in_mmdet):
    backbone = build(
        [entry(cfg=dict(**NON_LOCAL, zeros_init=False, std=0.2))], depth=50
    )
    backbone.init_weights()
    block = backbone.layer3[4].nonlocal_block
    for conv in (block.g.conv, block.theta.conv, block.conv_out.conv):
        assert conv.weight.std().item() == pytest.approx(0.2, rel=0.01)


def test_weights_that_a_pretrained_checkpoint_holds_are_kept(in_mmdet, tmp_path):
    trained = build([entry()])
    nn.init.normal_(trained.layer3[0].nonlocal_block.conv_out.bn.weight)
    path = tmp_path / "trained.pth"
    torch.save(trained.state_dict(), path)
    backbone = build([entry()], init_cfg=dict(type="Pretrained", checkpoint=str(path)))
    backbone.init_weights()
    assert same(outputs(backbone), outputs(trained))


def test_a_second_init_leaves_trained_plugins_alone(in_mmdet):
    backbone = build([entry()])
    backbone.init_weights()
    nn.init.ones_(backbone.layer3[0].nonlocal_block.conv_out.bn.weight)
    backbone.init_weights()
    assert backbone.layer3[0].nonlocal_block.conv_out.bn.weight.min() == 1


def test_no_parameter_of_the_baseline_is_renamed(toolbox):
    backbone = build([entry(), entry("after_conv1")], depth=50)
    stock = MODELS.build(dict(type=f"{toolbox}.ResNet", depth=50))
    added = backbone.state_dict().keys() - stock.state_dict().keys()
    assert stock.state_dict().keys() <= backbone.state_dict().keys()
    assert {k.split("nonlocal_block")[0] for k in added} == {"layer3.4."}


@pytest.mark.parametrize(("depth", "index"), [(50, 4), (101, 21), (152, 34)])
def test_minus_two_in_res4_is_right_before_the_last_block(in_mmdet, depth, index):
    backbone = build([entry()], depth=depth)
    (place,) = [n for n, _ in backbone.named_modules() if n.endswith("nonlocal_block")]
    assert place == f"layer3.{index}.nonlocal_block"
    assert index == len(backbone.layer3) - 2


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
    backbone = build([entry(position, affine, blocks=(block_index,))], depth=depth)
    block = backbone.eval().layer3[block_index]
    x = torch.rand(2, block.conv1.in_channels, 5, 7)
    expected = expected_block(block, x, lambda v: 2 * v + 0.5, position)
    torch.testing.assert_close(block(x), expected)
    assert block.affine.in_channels == {
        "before_conv1": block.conv1.in_channels,
        "after_conv1": block.conv1.out_channels,
        "after_conv2": block.conv2.out_channels,
    }.get(position, expected.shape[1])


def test_plugins_at_one_place_run_in_the_order_written(toolbox):
    double = dict(type="nlse_mm.Affine", scale=2.0)
    shift = dict(type="nlse_mm.Affine", shift=1.0)
    backbone = build([entry("after_conv1", double), entry("after_conv1", shift)]).eval()
    block = backbone.layer3[0]
    assert list(block._modules)[-2:] == ["affine", "affine_2"]
    x = torch.rand(1, 128, 4, 6)
    expected = expected_block(block, x, lambda v: 2 * v + 1, "after_conv1")
    torch.testing.assert_close(block(x), expected)


def test_postfix_names_a_plugin_as_stock_does(in_mmdet):
    cfg = dict(**NON_LOCAL, postfix="_last")
    ours = build([entry("after_conv3", cfg, blocks=None)], depth=50)
    entries = [dict(cfg=cfg, stages=RES4, position="after_conv3")]
    stock = build(entries, depth=50, name="mmdet.ResNet")
    assert ours.state_dict().keys() == stock.state_dict().keys()


def test_plugins_train_where_the_backbone_is_frozen(toolbox):
    entries = [entry(stages=(True,) * 4)]
    backbone = build(entries, frozen_stages=4, norm_eval=True).train()
    trainable = {n for n, p in backbone.named_parameters() if p.requires_grad}
    plugin = {n for n, _ in backbone.named_parameters() if "nonlocal_block" in n}
    assert trainable == plugin
    norms = {n: m for n, m in backbone.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {n for n, m in norms.items() if m.training} == {
        n for n in norms if "nonlocal_block" in n
    }
    sum(o.mean() for o in outputs(backbone, train=True)).backward()
    for stage in (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4):
        assert stage[0].nonlocal_block.conv_out.bn.weight.grad.abs().sum() > 0


def test_a_plugin_that_the_user_froze_stays_frozen(toolbox):
    backbone = build([entry()], frozen_stages=4)
    backbone.layer3[0].nonlocal_block.requires_grad_(False)
    assert not any(p.requires_grad for p in backbone.train().parameters())


def awake():
    """A backbone whose plugin has an effect, so that losing it would show."""
    backbone = build([entry()], depth=50)
    nn.init.normal_(backbone.layer3[4].nonlocal_block.conv_out.bn.weight, std=3.0)
    return backbone


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
    backbone = awake()
    expected = outputs(backbone)
    assert not same(expected, outputs(baseline_of(backbone, toolbox, 50)))
    survivor = survive(backbone)
    assert same(outputs(survivor), expected)
    assert type(survivor) is type(backbone)


def test_plugins_survive_the_fusion_of_convolutions_and_norms(toolbox):
    from mmcv.cnn import fuse_conv_bn

    backbone = awake().eval()
    expected = outputs(backbone)
    assert not same(expected, outputs(baseline_of(backbone, toolbox, 50)))
    fused = outputs(fuse_conv_bn(copy.deepcopy(backbone)))
    torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_gives_the_same_gradients(toolbox):
    plain = awake()
    saving = build([entry()], depth=50, with_cp=True)
    saving.load_state_dict(plain.state_dict())
    for backbone in (plain.double(), saving.double()):
        sum(o.square().mean() for o in outputs(backbone, train=True)).backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_compiled_backbone_keeps_its_plugin_beside_a_plain_one(in_mmdet):
    backbone = awake()
    plain = baseline_of(backbone, "mmdet", 50)
    expected = outputs(backbone), outputs(plain)
    for module, wanted in zip((backbone, plain), expected, strict=True):
        compiled = torch.compile(module, fullgraph=True, backend="eager")
        torch.testing.assert_close(outputs(compiled), wanted)


def test_each_placed_plugin_is_logged(in_mmdet, caplog):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance("placement")
    logger.addHandler(caplog.handler)
    build([entry(blocks=(0, -2))], depth=50)
    placed = [r.message for r in caplog.records if r.levelname == "INFO"]
    assert placed == [
        f"plugin NonLocal2d after_block in block {i} of 6 of res4: "
        f"layer3.{i}.nonlocal_block, 1024 channels"
        for i in (0, 4)
    ]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (dict(position="after_blok"), r"plugins\[0\]: position='after_blok' is not"),
        (dict(position="after_conv3"), "this backbone's blocks"),
        (dict(blocks=(2,)), r"blocks=\(2,\) holds 2, but res4 has 2 blocks, -2 to 1"),
        (dict(blocks=(-3,)), "holds -3, but res4 has 2 blocks"),
        (dict(blocks=2), "blocks=2 is not a tuple of integers"),
        (dict(stages=(True, False)), "has 2 entries; the backbone has num_stages=4"),
    ],
)
def test_a_wrong_place_ends_in_a_sentence(toolbox, wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        build([{**entry(), **wrong}])
    assert "\n" not in str(error.value)


def test_a_block_keeps_its_stochastic_depth():
    """MMPretrain's blocks drop their branch before the addition, in training."""
    pretrain = pytest.importorskip("mmpretrain.models")
    backbone = pretrain.ResNet(18, drop_path_rate=0.5, out_indices=(3,))
    x = torch.rand(8, 3, 32, 32)
    torch.manual_seed(1)
    before = backbone(x)
    place_in_blocks(backbone, [entry("after_conv2", NON_LOCAL, None, None)])
    torch.manual_seed(1)
    assert same(before, backbone(x))
