"""Plugin entries of every kind: one parser, one set of sentences, one rule of names."""

from dataclasses import dataclass
from typing import Any

import pytest
from mmengine.registry import MODELS

from nlse_mm.placement import entries
from nlse_mm.placement.entries import BlockEntry, ConvEntry, ModelEntry

AFFINE = dict(type="nlse_mm.Affine")


@dataclass(frozen=True)
class Kind:
    """A place for a plugin, and the smallest config that takes such entries."""

    place: dict[str, Any]
    config: dict[str, Any]
    suffix: str = ""
    missing: str = ""

    def build(self, *plugins):
        return MODELS.build(dict(self.config, plugins=list(plugins)))


R18 = dict(depth=18, base_channels=8)
KINDS = {
    BlockEntry: Kind(
        dict(position="after_block", stages=(False, True, False, False), blocks=(-1,)),
        dict(type="nlse_mm.ResNet", **R18),
        missing="the key 'position' is missing",
    ),
    ModelEntry: Kind(
        dict(output=2),
        dict(type="nlse_mm.WithPlugins", base="ResNet", **R18),
        suffix="_output2",
        missing="output=None and after=None: a plugin entry has exactly one",
    ),
    ConvEntry: Kind(
        dict(after_convs=(1,)),
        dict(
            type="nlse_mm.KeypointRCNNHead",
            num_convs=2,
            in_channels=4,
            conv_out_channels=4,
        ),
        missing="the key 'after_convs' is missing",
    ),
}
each_kind = pytest.mark.parametrize(
    "kind", KINDS.values(), ids=[kind.__name__ for kind in KINDS]
)


def test_every_kind_of_entry_is_tested_here():
    assert {*KINDS} == {*entries._Entry.__subclasses__()}


@each_kind
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (3, r"3 is not a dict with the keys \('cfg', "),
        (dict(cfg=AFFINE, colour=1), r"the key 'colour' is not one of \('cfg', "),
        (dict(), "the key 'cfg' is missing"),
        (dict(cfg="nl"), "cfg='nl' is not a dict with a 'type', such as"),
        (dict(cfg=dict(reduction=2)), "is not a dict with a 'type', such as"),
        (dict(cfg=dict(type="nlse_mm.SELayr")), "near it are 'nlse_mm.SELayer'"),
        (
            dict(cfg=dict(type="SELayr")),
            "type='SELayr' is not a registered plugin",
        ),
        (dict(cfg=dict(AFFINE, in_channels=8)), "in_channels=8: .*leave the key out"),
        (dict(cfg=dict(AFFINE, postfix="a.b")), "postfix='a.b' has a dot"),
        (dict(cfg=dict(AFFINE, postfix=[1])), r"postfix=\[1\] is not a string or an"),
        (dict(cfg=dict(type="nlse_mm.SELayer", ratio=16)), ".*argument 'ratio'"),
        (dict(cfg=dict(type="nlse_mm.NonLocal2d", mode="x")), ".*mode='x' is not one"),
    ],
)
def test_a_wrong_entry_ends_in_one_sentence_that_names_it(
    in_mmdet, kind, wrong, sentence
):
    right = dict(cfg=AFFINE, **kind.place)
    if isinstance(wrong, dict):
        wrong = {**kind.place, **wrong}
    with pytest.raises(ValueError, match=rf"^plugins\[1\]: .*{sentence}") as error:
        kind.build(right, wrong)
    assert "\n" not in str(error.value)


@each_kind
def test_an_entry_without_a_place_is_refused(in_mmdet, kind):
    with pytest.raises(ValueError, match=rf"^plugins\[0\]: {kind.missing}"):
        kind.build(dict(cfg=AFFINE))


@each_kind
@pytest.mark.parametrize("plugins", [dict(cfg=AFFINE), "nl", 3])
def test_entries_that_are_no_list_are_refused(in_mmdet, kind, plugins):
    with pytest.raises(ValueError, match=r"^plugins=.* is not a list of plugin ent"):
        MODELS.build(dict(kind.config, plugins=plugins))


@each_kind
def test_plugins_are_named_by_type_postfix_and_number(in_mmdet, kind):
    last = dict(AFFINE, postfix="_last")
    cfgs = (AFFINE, last, AFFINE, dict(AFFINE, postfix=3), last)
    model = kind.build(*(dict(cfg=cfg, **kind.place) for cfg in cfgs))
    names = [
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module).__name__ == "Affine"
    ]
    affine, affine_last = f"affine{kind.suffix}", f"affine_last{kind.suffix}"
    assert names == [
        affine,
        affine_last,
        f"{affine}_2",
        f"affine3{kind.suffix}",
        f"{affine_last}_2",
    ]
