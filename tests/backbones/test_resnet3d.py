"""MMAction2's 3D ResNets with plugin entries, and C2D as in the paper's Table 1."""

import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

pytest.importorskip("mmaction")

from nlse_mm.errors import ConfigError
from nlse_mm.training.user_error import user_error

C2D = dict(inflate=0, conv1_kernel=(1, 7, 7))
# Table 1: conv1 with stride 2 in time as well, pool1 likewise, and pool2 in time.
TABLE_1 = dict(C2D, conv1_stride_t=2, pool1_stride_t=2, out_indices=(0, 1, 2, 3))
NON_LOCAL = dict(type="nlse_mm.NonLocal3d", sub_sample=True, norm_cfg=dict(type="BN3d"))
AFFINE = dict(type="nlse_mm.Affine", scale=2.0)
POSITIONS = ("before_conv1", "after_conv1", "after_conv2", "on_identity", "after_block")
SMALL = dict(depth=18, base_channels=4)


@pytest.fixture(autouse=True)
def _in_mmaction():
    import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)

    with DefaultScope.overwrite_default_scope("mmaction"):
        yield


def entry(position="after_block", cfg=NON_LOCAL, **where):
    return dict(cfg=cfg, position=position, **where)


def build(name="ResNet3d", plugins=(), scope="nlse_mm", **kwargs):
    given = dict(SMALL, type=f"{scope}.{name}") | kwargs
    return MODELS.build(given | (dict(plugins=plugins) if plugins else {}))


def randomised(model):
    for key, value in model.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            std = value[0].numel() ** -0.5 if value.dim() > 1 else 0.5
            value.normal_(std=std)
    model.eval()  # MMAction2's returns None
    return model


def clip(frames=4, size=32):
    return torch.rand(1, 3, frames, size, size)


def test_the_stages_of_c2d_r50_have_the_shapes_of_the_papers_table_1():
    with torch.device("meta"):
        c2d = build(depth=50, base_channels=64, **TABLE_1)
        maps = c2d(torch.empty(1, 3, 32, 224, 224))
    # res2 is 8 x 56 x 56 in the table; MMAction2 returns it after pool2.
    assert [tuple(m.shape[1:]) for m in maps] == [
        (256, 4, 56, 56),
        (512, 4, 28, 28),
        (1024, 4, 14, 14),
        (2048, 4, 7, 7),
    ]


def test_c2d_is_the_2d_resnet_on_each_frame():
    c2d = randomised(build(with_pool2=False, base_channels=64, **C2D))
    plain = MODELS.build(dict(type="mmaction.ResNet", depth=18))
    plain.eval()
    plain.load_state_dict(
        {k: v.squeeze(2) if v.dim() == 5 else v for k, v in c2d.state_dict().items()}
    )
    x = clip(3)
    with torch.no_grad():
        frames = [plain(x[:, :, t]) for t in range(3)]
        torch.testing.assert_close(c2d(x), torch.stack(frames, 2), rtol=1e-4, atol=1e-5)


def counted(**kwargs):
    """Parameters and multiplications of the convolutions, without a classifier.

    In millions and billions, of a clip of 32 x 224 x 224.
    """
    macs = 0

    def count(conv, inputs, output):
        nonlocal macs
        macs += output.numel() * conv.weight[0].numel()

    with torch.device("meta"):
        # The authors' networks have the stride in the first 1x1 convolution.
        model = build(base_channels=64, style="caffe", **TABLE_1, **kwargs)
        for module in model.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_hook(count)
        model(torch.empty(1, 3, 32, 224, 224))
    return sum(p.numel() for p in model.parameters()) / 1e6, macs / 1e9


def test_parameters_and_products_are_those_of_the_papers_table_2e():
    """C2D R101 has 43.2M and 34.2B; five blocks make both 1.2 times that."""
    classifier = 2048 * 400 / 1e6
    parameters, macs = counted(depth=101)
    assert parameters + classifier == pytest.approx(43.2, rel=0.01)
    assert macs == pytest.approx(34.2, rel=0.01)
    five = [
        entry(stages=(False, True, False, False), blocks=(1, 3)),
        entry(stages=(False, False, True, False), blocks=(6, 13, 20)),
    ]
    more, more_macs = counted(depth=101, plugins=five)
    assert round((more + classifier) / (parameters + classifier), 1) == 1.2
    # Five blocks: 2 x 0.5M and 3 x 2.1M parameters.
    assert more - parameters == pytest.approx(2 * 0.527 + 3 * 2.103, rel=0.01)
    assert more_macs / macs < 1.25


@pytest.mark.parametrize("name", ["ResNet3d", "ResNet3dSlowOnly"])
@pytest.mark.parametrize("depth", [18, 50])
def test_entries_start_as_the_identity_at_every_position(name, depth):
    positions = (*POSITIONS, "after_conv3") if depth == 50 else POSITIONS
    plugins = [entry(p, stages=(False, True, False, True)) for p in positions]
    plugged, stock = build(name, plugins, depth=depth), build(name, (), depth=depth)
    plugged.init_weights()  # from scratch, which sets every norm's weight to one
    missing = plugged.load_state_dict(stock.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(".non_local_block" in key for key in missing.missing_keys)
    x = clip(size=64)
    for train in (True, False):
        assert torch.equal(plugged.train(train)(x), stock_output(stock, x, train))


def stock_output(stock, x, train):
    stock.train(train)
    return stock(x)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_plugin_runs_where_its_position_says(position):
    plugged = randomised(build(plugins=[entry(position, AFFINE, blocks=(0,))]))
    block = plugged.layer2[0]
    x = torch.rand(1, 4, 2, 8, 8)
    place = {
        "before_conv1": lambda: block.conv2(block.conv1(2 * x)),
        "after_conv1": lambda: block.conv2(2 * block.conv1(x)),
        "after_conv2": lambda: 2 * block.conv2(block.conv1(x)),
    }
    with torch.no_grad():
        branch = place.get(position, lambda: block.conv2(block.conv1(x)))()
        shortcut = block.downsample(x) * (2 if position == "on_identity" else 1)
        wanted = (branch + shortcut).relu()
        wanted = 2 * wanted if position == "after_block" else wanted
        # randomised() changed the plugin's scale.
        for stage in (plugged.layer1, plugged.layer2, plugged.layer3, plugged.layer4):
            stage[0].affine.scale.fill_(2.0)
        torch.testing.assert_close(block(x), wanted)


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian", "dot_product"])
def test_published_non_local_checkpoints_load_and_give_their_values(mode):
    """The placing of MMAction2's non-local configs, and their settings."""
    non_local = ((0, 0), (1, 0), (0, 1), (0, 0))
    cfg = dict(
        sub_sample=True,
        use_scale=False,
        norm_cfg=dict(type="BN3d", requires_grad=True),
        mode=mode,
    )
    theirs = build(scope="mmaction", non_local=non_local, non_local_cfg=cfg)
    plugins = [
        entry(cfg=dict(cfg, type=NON_LOCAL["type"]), stages=stages, blocks=blocks)
        for stages, blocks in (
            ((False, True, False, False), (0,)),
            ((False, False, True, False), (1,)),
        )
    ]
    ours = build(plugins=plugins)
    ours.load_state_dict(randomised(theirs).state_dict())
    x = clip()
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs(x), rtol=1e-5, atol=1e-5)
        # MMAction2's own block beside a plugin in one residual block.
        both = build(plugins=plugins, non_local=non_local, non_local_cfg=cfg)
        keys = both.load_state_dict(theirs.state_dict(), strict=False).missing_keys
        assert {key.split(".")[2] for key in keys} == {"non_local_block_2"}
        torch.testing.assert_close(both.eval()(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ResNet3d", dict(depth=18)),
        ("ResNet3d", dict(C2D, depth=50)),
        ("ResNet3d", dict(depth=50, inflate_style="3x3x3")),
        ("ResNet3dSlowOnly", dict(depth=50)),
    ],
)
def test_2d_weights_inflate_as_in_mmaction(named, name, given):
    plain = dict(type="mmseg.ResNet", depth=given["depth"], base_channels=8)
    plain = randomised(MODELS.build(dict(plain, stem_channels=8)))
    given = dict(given, base_channels=8, pretrained=named(plain.state_dict()))
    theirs = build(name, scope="mmaction", **given)
    theirs.init_weights()
    ours = build(name, [entry(stages=(False, True, False, False))], **given)
    ours.init_weights()
    found = ours.state_dict()
    for key, value in theirs.state_dict().items():
        assert torch.equal(found[key], value), key
    kernel = plain.layer2[0].conv2.weight
    assert torch.allclose(found["layer2.0.conv2.conv.weight"].sum(2), kernel)
    x = clip(2, 64)
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), stock_output(theirs, x, False))


def test_weights_of_a_3d_backbone_keep_its_trained_plugins(named):
    plugins = [entry(stages=(False, True, False, False))]
    trained = randomised(build(plugins=plugins)).state_dict()
    again = build(plugins=plugins, pretrained=named(trained), pretrained2d=False)
    again.init_weights()
    found = again.state_dict()
    assert all(torch.equal(found[key], value) for key, value in trained.items())


def test_plugins_learn_in_frozen_stages_and_with_checkpoints():
    plugins = [entry(stages=(True, False, False, False))]
    given = dict(frozen_stages=1, norm_eval=True, with_cp=True)
    plugged = build(plugins=plugins, **given)
    assert plugged.train() is plugged
    plugged(clip()).sum().backward()
    block = plugged.layer1[0]
    assert not block.conv1.conv.weight.requires_grad
    assert block.non_local_block.conv_out.bn.weight.grad is not None
    assert block.non_local_block.training


def test_mmaction_alone_is_enough():
    code = """
import sys
from importlib.machinery import PathFinder

class Hidden(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split('.')[0] in ('mmdet', 'mmseg', 'mmpretrain'):
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hidden
import torch
from mmengine.registry import MODELS
entry = dict(cfg=dict(type='nlse_mm.NonLocal3d'), position='after_block')
given = dict(depth=18, base_channels=4, inflate=0, plugins=[entry])
backbone = MODELS.build(dict(given, type='nlse_mm.ResNet3d'))
assert backbone(torch.rand(1, 3, 4, 32, 32)).shape == (1, 32, 2, 1, 1)
plain = MODELS.build(dict(type='nlse_mm.ResNet', depth=18))
assert type(plain).__module__.startswith('mmaction')
print('alone')
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("alone\n"), done.stderr


@pytest.mark.parametrize("kind", ["nlse_mm.NonLocal2d", "NonLocal2d", "ContextBlock"])
def test_a_2d_plugin_in_a_3d_backbone_ends_in_a_sentence(kind):
    cfg = dict(type=kind) | (dict(ratio=0.5) if kind == "ContextBlock" else {})
    with pytest.raises(ConfigError) as caught:
        build(plugins=[entry(cfg=cfg)])
    said = user_error(caught.value)
    assert said.startswith(f"plugins[0]: {kind.removeprefix('nlse_mm.')} does not run")
    assert "\n" not in said
    assert ("; NonLocal3d does (" in said) == kind.endswith("2d")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(no_such=1), "nlse_mm.ResNet3d has no argument 'no_such'"),
        (dict(depth=20), "nlse_mm.ResNet3d: depth=20 is not one of"),
        (dict(inflate="all"), "nlse_mm.ResNet3d: inflate='all' is not a list"),
        (dict(num_stages=7), "nlse_mm.ResNet3d: mmaction's ResNet3d refuses"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(given, said):
    with pytest.raises((ConfigError, TypeError)) as caught:
        build(**given)
    assert user_error(caught.value).startswith(said)
