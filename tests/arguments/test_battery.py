"""Every argument of every registered name, with three values of wrong types."""

import inspect
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from mmengine.registry import DefaultScope

from nlse_mm import registry
from nlse_mm.toolbox import installed
from nlse_mm.training.user_error import user_error

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

RESNET_3D = "nlse_mm.backbones.resnet3d"
VIDEO = installed("mmaction")
NAN = float("nan")
# What doesn't fit an annotation, by hand.
WRONG = {
    int: ("x", 1.5, True),
    int | None: ("x", 1.5, True),
    int | Sequence[int]: ("x", 1.5, ("a",)),
    bool: ("False", 2, [True]),
    float: ("x", True, NAN),
    str: (3, ["x"], dict(a=1)),
    str | None: (3, ["x"], dict(a=1)),
    str | Sequence[str]: (3, True, [3]),
    dict: ("x", 3, [1]),
    dict | None: ("x", 3, [1]),
    dict[str, Any] | None: ("x", 3, [1]),
    dict | list[dict] | None: ("x", 3, [1]),
    Sequence[int]: ("12", 3, (1.5,)),
    # What the toolboxes' signatures don't say.
    "flag": ("False", "no", 2.5),
    "flags": ("1111", True, ("no",) * 4),
    "entries": ("x", 3, dict(cfg=dict(type="nlse_mm.SELayer"))),
    "choice": ("x", 3, ["x"]),
}
# The arguments of the toolboxes' ResNets without annotations and bools as defaults.
RESNET = dict(
    dict.fromkeys(
        ["depth", "in_channels", "base_channels", "num_stages", "frozen_stages"], int
    ),
    **dict.fromkeys(["strides", "dilations", "out_indices"], Sequence[int]),
    **dict.fromkeys(["conv_cfg", "norm_cfg", "dcn"], dict),
    stage_with_dcn="flags",
    style="choice",
    init_cfg=dict | list[dict] | None,
    pretrained=str,
)
RESNET_OF_VIDEO = dict(
    dict.fromkeys(["base_channels", "num_stages", "frozen_stages"], int),
    **dict.fromkeys(["conv_cfg", "norm_cfg"], dict),
    norm_eval="flag",
)
# More of them, of other classes.
INHERITED = dict(
    NLHead=dict(
        in_channels=int | Sequence[int],
        channels=int,
        num_classes=int,
        dropout_ratio=float,
        in_index=int | Sequence[int],
        ignore_index=int | None,
        norm_cfg=dict,
        act_cfg=dict,
    ),
    FlipKeypoints=dict(prob=float, direction=str),
    CropKeypoints=dict(crop_size=Sequence[int]),
    PackKeypoints=dict(meta_keys=str | Sequence[str]),
    LoadSegLabels=dict(reduce_zero_label="flag", imdecode_backend=str),
    KeypointTTAModel=dict(tta_cfg=dict),
)
VALID = {
    int: 16,
    str: "ResNet",
    dict: dict(type="nlse_mm.KeypointRCNNHead"),
    "entries": (),
}

# What stock parents require, and a name for what MMEngine keeps one of.
OF_STOCK_PARENTS = dict(
    CropKeypoints=dict(crop_size=(8, 8)),
    EraseKeypoints=dict(n_patches=1, ratio=0.1),
    FixShapeResizeKeypoints=dict(width=8, height=8),
    KeypointVisualizer=dict(name="battery"),
)


def public():
    """All names that nlse_mm itself registers, with the registry that has them."""
    for name in dir(registry):
        found = getattr(registry, name)
        if isinstance(found, registry.mmengine.Registry):
            found.import_from_location()
            for key, target in found.module_dict.items():
                if target.__module__ == RESNET_3D and not VIDEO:
                    continue  # MMAction2 defines what it takes
                if target.__module__.startswith("nlse_mm."):
                    yield found, key, target


def kind_of(hint):
    """The key of ``WRONG`` that an annotation of ours has."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    if Annotated in (get_origin(hint), *map(get_origin, parts)):
        return "entries"
    return "choice" if get_origin(hint) is Literal else hint


def own_arguments(target):
    """Our annotations, and names that have to be given."""
    function = target.__init__ if inspect.isclass(target) else target
    if not function.__module__.startswith("nlse_mm"):
        return {}, []
    hints = get_type_hints(function, include_extras=True)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in named and p.name != "self"
    ]
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    return {p.name: kind_of(hints[p.name]) for p in parameters}, required


def inherited_arguments(target):
    """Arguments of stock parents whose signatures say plainly what they are."""
    found = {}
    for parent in target.__mro__[:-1] if inspect.isclass(target) else ():
        if "__init__" in vars(parent):
            parameters = inspect.signature(parent.__init__).parameters
            for name, parameter in parameters.items():
                if isinstance(parameter.default, bool):
                    found[name] = "flag"
                elif parameter.annotation in (int, float, str):
                    found[name] = parameter.annotation
            if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
                break
    return found


def needed(name, arguments, required):
    """The least that a name has to be given."""
    given = {key: VALID[arguments[key]] for key in required}
    if "depth" in given:
        given["depth"] = 50
    return given | OF_STOCK_PARENTS.get(name, {})


def toolbox_of(name):
    return "mmseg" if name.endswith("ResNetV1c") else "mmdet"


def cases():
    for found, name, target in public():
        if not hasattr(target, "__init__"):
            continue
        arguments, required = own_arguments(target)
        given = needed(name, arguments, required)
        arguments = inherited_arguments(target) | arguments
        arguments |= INHERITED.get(name, {})
        if "depth" in arguments:
            arguments = (RESNET_OF_VIDEO if "3d" in name else RESNET) | arguments
            if name.startswith("SE"):  # they check it when weights are loaded
                del arguments["init_cfg"]
        for key, kind in arguments.items():
            for number, value in enumerate(WRONG[kind]):
                config = dict(given, type=f"nlse_mm.{name}") | {key: value}
                yield pytest.param(found, config, key, id=f"{name}-{key}-{number}")


@pytest.mark.parametrize(("found", "config", "key"), list(cases()))
def test_a_value_of_a_wrong_type_ends_in_a_sentence(found, config, key):
    with (
        DefaultScope.overwrite_default_scope(toolbox_of(config["type"])),
        pytest.raises(Exception) as caught,  # noqa: PT011 (which one is asked below)
    ):
        found.build(config)
    sentence = user_error(caught.value)
    assert sentence is not None, repr(caught.value)
    assert "\n" not in sentence
    assert re.search(rf"\b{key}\b", sentence), sentence


@pytest.mark.parametrize(
    ("found", "name", "target"), [pytest.param(*p, id=p[1]) for p in public()]
)
def test_an_unknown_argument_ends_in_a_sentence(found, name, target):
    given = needed(name, *own_arguments(target))
    with (
        DefaultScope.overwrite_default_scope(toolbox_of(name)),
        pytest.raises(TypeError) as caught,
    ):
        found.build(dict(given, type=f"nlse_mm.{name}", no_such_thing=1))
    sentence = user_error(caught.value) or repr(caught.value)
    assert re.match(rf"nlse_mm\.{name}.* has no argument 'no_such_thing'", sentence)


def test_the_battery_knows_every_registry():
    assert len({name for _, name, _ in public()}) >= 30
