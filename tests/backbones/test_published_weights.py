"""``init_cfg`` fills an SE backbone with published weights, or refuses them.

The sources' names are made from ours by the fixture ``renamed``, which is not the code
that converts; ``test_se_peers.py`` has the sources themselves.
"""

import pickle

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader

from nlse_mm.checkpoint import load_state_dict_from
from nlse_mm.errors import CheckpointError

LEGACY = dict(pool_ceil_mode=True)


def build(name="SEResNet", depth=50, **kwargs):
    cfg = dict(type=f"nlse_mm.{name}", depth=depth, base_channels=16, **kwargs)
    return MODELS.build(cfg)


def pretrained(checkpoint, **options):
    return dict(type="Pretrained", checkpoint=checkpoint, **options)


def weights_of(backbone):
    """The backbone's weights, each with a value that shows where it went."""
    generator = torch.Generator().manual_seed(3)
    return {
        key: torch.rand(value.shape, generator=generator)
        for key, value in backbone.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def assert_holds(backbone, weights):
    own = backbone.state_dict()
    for key, value in weights.items():
        assert torch.equal(own[key], value), key


def refusal(named, checkpoint, *, options=(), **kwargs):
    name = named(checkpoint)
    backbone = build(init_cfg=pretrained(name, **dict(options)), **kwargs)
    before = backbone.conv1.weight.clone()
    with pytest.raises(CheckpointError) as caught:
        backbone.init_weights()
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert torch.equal(backbone.conv1.weight, before)  # nothing was loaded
    return message


@pytest.mark.parametrize(
    ("family", "name", "depth", "kwargs"),
    [
        ("timm", "SEResNet", 50, dict()),
        ("timm", "SEResNet", 18, dict()),
        ("timm", "SEResNet", 50, dict(deep_stem=True, avg_down=True)),
        ("timm", "SEResNeXt", 50, dict()),
        ("timm-legacy", "SEResNet", 50, dict(style="caffe", **LEGACY)),
        ("timm-legacy", "SEResNeXt", 50, LEGACY),
        ("mmpretrain", "SEResNet", 50, dict()),
    ],
)
def test_each_family_fills_the_whole_backbone(
    toolbox, named, renamed, monkeypatch, family, name, depth, kwargs
):
    weights = weights_of(build(name, depth, **kwargs))
    checkpoint = named(renamed(weights, family))
    log = []
    monkeypatch.setattr(
        "nlse_mm.checkpoint.conversion.published.print_log",
        lambda msg, **_: log.append(msg),
    )
    backbone = build(name, depth, init_cfg=pretrained(checkpoint), **kwargs)
    backbone.init_weights()
    assert_holds(backbone, weights)
    (line,) = log
    assert f"({family}): {len(weights)} keys fill the backbone" in line
    assert "; 2 not used: " in line


@pytest.mark.parametrize("family", ["timm", "timm-legacy"])
def test_senet_has_a_name_for_every_key(in_mmdet, renamed, family):
    from nlse_mm.checkpoint.conversion.families import family_of, our_names

    with torch.device("meta"):
        keys = MODELS.build(dict(type="nlse_mm.SENet")).state_dict()
    theirs = renamed(dict.fromkeys(keys), family)
    assert family_of(theirs, "a.pth") == family
    assert set(our_names(theirs, family).values()) == set(keys)


@pytest.mark.parametrize(
    ("init_cfg", "sentence"),
    [
        (pretrained("a.pth", sauce="timm"), "the key 'sauce' is not one of .*'source'"),
        (pretrained(""), "checkpoint='' is not a path or a name"),
        (pretrained(None), "checkpoint=None is not a path or a name"),
        (dict(type="Pretrained"), "checkpoint=None is not a path or a name"),
        (dict(checkpoint="a.pth"), "is not a dict with a 'type'"),
        ("a.pth", "='a.pth' is not a dict with a 'type'"),
    ],
)
def test_a_wrong_init_cfg_ends_in_a_sentence(toolbox, init_cfg, sentence):
    backbone = build(depth=18, init_cfg=init_cfg)
    with pytest.raises(ValueError, match=f"^init_cfg.*{sentence}"):
        backbone.init_weights()


PREFIXES = [None, "backbone", "backbone.", "module.backbone", "module.backbone."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("given", ["", "backbone.", "module.backbone."])
def test_mmpretrains_prefix_may_be_there_or_not(in_mmdet, named, prefix, given):
    weights = weights_of(build())
    checkpoint = named(dict(state_dict={given + k: v for k, v in weights.items()}))
    backbone = build(init_cfg=pretrained(checkpoint, prefix=prefix))
    backbone.init_weights()
    assert_holds(backbone, weights)


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("module.", "module."),
        ("module.", "module"),
        ("module.", None),
        ("module.teacher.", "module.teacher."),
        ("module.teacher.", "teacher."),
        ("teacher.", "module.teacher"),
        ("teacher.module.", "teacher"),
        ("teacher.module.", "teacher.module."),
        ("module.module.backbone.", "module.backbone."),
        ("backbone._orig_mod.", "backbone."),
        ("_orig_mod.module.net.", "net"),
    ],
)
def test_wrappers_in_a_prefix_or_a_key_do_not_matter(in_mmdet, named, given, prefix):
    weights = weights_of(build())
    checkpoint = named({given + k: v for k, v in weights.items()})
    backbone = build(init_cfg=pretrained(checkpoint, prefix=prefix))
    backbone.init_weights()
    assert_holds(backbone, weights)


def test_weights_of_a_wrapped_plain_resnet_are_known_by_their_keys(in_mmdet, named):
    plain = MODELS.build(dict(type="nlse_mm.ResNet", depth=18, base_channels=16))
    weights = weights_of(plain)
    checkpoint = named({f"module.{key}": value for key, value in weights.items()})
    assert load_state_dict_from(checkpoint).keys() == weights.keys()


def test_another_prefix_has_to_be_there(in_mmdet, named):
    weights = weights_of(build())
    checkpoint = {f"teacher.{k}": v for k, v in weights.items()}
    backbone = build(init_cfg=pretrained(named(checkpoint), prefix="teacher"))
    backbone.init_weights()
    assert_holds(backbone, weights)
    options = dict(prefix="student")
    message = refusal(named, checkpoint, options=options)
    assert "no key that begins with prefix='student', but with teacher" in message


@pytest.mark.parametrize(
    ("checkpoint", "sentence"),
    [
        (dict(state_dict=None), "its state_dict is a NoneType"),
        (dict(model={"a": torch.ones(1)}), "keeps its weights under model"),
        (dict(state_dict={}), "its state_dict is empty"),
    ],
)
def test_a_file_without_weights_in_their_place_is_refused(
    in_mmdet, named, checkpoint, sentence
):
    assert sentence in refusal(named, checkpoint)


@pytest.mark.parametrize(("of", "into"), [(50, 101), (101, 50)])
def test_weights_of_another_depth_are_refused(in_mmdet, named, renamed, of, into):
    checkpoint = renamed(weights_of(build(depth=of)), "timm")
    message = refusal(named, checkpoint, depth=into)
    blocks = {50: 6, 101: 23}
    found = f"layer3 has {blocks[of]} blocks, the backbone's has {blocks[into]}"
    assert found in message
    assert "layer3.6 to layer3.22" in message


def test_weights_without_se_layers_are_refused(in_mmdet, named, renamed):
    plain = MODELS.build(dict(type="nlse_mm.ResNet", depth=50, base_channels=16))
    message = refusal(named, renamed(weights_of(plain), "torchvision"))
    assert "missing keys layer1.0.se_layer.conv1.conv.bias" in message
    assert "64 of the backbone's" in message
    assert "without SE layers" in message


def test_a_missing_key_and_one_of_another_shape_are_named(in_mmdet, named):
    weights = weights_of(build())
    narrow = weights_of(build(reduction=4))
    assert "layer1.0.se_layer.conv1.conv.weight is (16, 64" in refusal(
        named, weights | {k: v for k, v in narrow.items() if "conv1.conv.w" in k}
    )
    del weights["layer4.2.bn3.running_var"]
    assert "missing keys layer4.2.bn3.running_var, 1 of" in refusal(named, weights)


def test_what_is_no_resnet_is_refused(in_mmdet, named):
    message = refusal(named, {"patch_embed.weight": torch.ones(1)})
    assert "keys such as patch_embed.weight" in message


@pytest.mark.parametrize(
    ("family", "made", "given", "key"),
    [
        ("timm-legacy", dict(style="caffe"), dict(style="caffe"), "pool_ceil_mode"),
        ("timm-legacy", dict(), LEGACY, "style='caffe'"),
        ("timm", dict(), dict(style="caffe"), "style='pytorch'"),
        ("timm", dict(), LEGACY, "pool_ceil_mode=False"),
        ("timm", dict(), dict(se_position="post"), "se_position='standard'"),
    ],
)
def test_weights_for_another_computation_are_refused(
    in_mmdet, named, renamed, family, made, given, key
):
    """Their keys and shapes would fit."""
    checkpoint = renamed(weights_of(build(**made)), family)
    assert key in refusal(named, checkpoint, **given)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (dict(style="caffe"), "style='pytorch'"),
        (LEGACY, "pool_ceil_mode=False"),
        (dict(se_position="post"), "se_position='standard'"),
    ],
)
def test_so_are_mmpretrains_where_the_name_says_whose_they_are(
    in_mmdet, monkeypatch, renamed, given, key
):
    def named(checkpoint):
        schemes = CheckpointLoader._schemes
        monkeypatch.setitem(schemes, "mmcls://", lambda *_, **__: checkpoint)
        return "mmcls://se-resnet50"

    checkpoint = renamed(weights_of(build()), "mmpretrain")
    assert key in refusal(named, checkpoint, **given)
    backbone = build(init_cfg=pretrained("mmcls://se-resnet50"))
    backbone.init_weights()
    assert_holds(backbone, weights_of(build()))


def test_legacy_basic_blocks_are_refused(in_mmdet, named, renamed):
    checkpoint = renamed(weights_of(build(depth=18)), "timm-legacy")
    message = refusal(named, checkpoint, depth=18, **LEGACY)
    assert "a ReLU before each SE layer" in message


def test_new_layers_may_be_missing_and_start_as_ever(in_mmdet, named, renamed):
    entry = dict(
        cfg=dict(type="nlse_mm.NonLocal2d"),
        stages=(False, False, True, False),
        blocks=(-2,),
        position="after_block",
    )
    dcn = dict(type="DCNv2", deform_groups=1, fallback_on_stride=False)
    stages = (False, False, False, True)
    kwargs = dict(plugins=[entry], dcn=dcn, stage_with_dcn=stages)
    weights = weights_of(build())
    checkpoint = named(renamed(weights, "timm"))
    backbone = build(init_cfg=pretrained(checkpoint), **kwargs)
    backbone.init_weights()
    assert_holds(backbone, weights)
    assert not backbone.layer3[4].nonlocal_block.conv_out.conv.weight.any()
    assert not backbone.layer4[2].conv2.conv_offset.weight.any()


def test_fewer_stages_leave_the_rest_unused(in_mmdet, named, renamed):
    weights = weights_of(build())
    kwargs = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1))
    kwargs |= dict(out_indices=(0, 1, 2))
    checkpoint = named(renamed(weights, "timm"))
    backbone = build(init_cfg=pretrained(checkpoint), **kwargs)
    backbone.init_weights()
    assert_holds(backbone, {k: v for k, v in weights.items() if "layer4" not in k})


def test_a_backbone_survives_pickling_with_its_weights(in_mmdet, named, renamed):
    weights = weights_of(build())
    checkpoint = named(renamed(weights, "timm"))
    backbone = build(init_cfg=pretrained(checkpoint))
    copy = pickle.loads(pickle.dumps(backbone))
    copy.init_weights()
    assert_holds(copy, weights)
    assert copy.init_cfg == backbone.init_cfg
