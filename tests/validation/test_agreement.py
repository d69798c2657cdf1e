"""Classes, keypoints and numbers of outputs are compared, as strictly as is right."""

from types import SimpleNamespace

import pytest
from torch import nn

from nlse_mm.errors import ConfigError
from nlse_mm.validation.agreement import check_heads, check_names, check_order
from nlse_mm.validation.class_names import classes_of, file_categories, label_names

KEY = "train_dataloader.dataset"


class BoxHead(nn.Module):
    """A head with these attributes."""

    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


class STDCHead(BoxHead):
    """MMSegmentation's head of edges, by its name."""


class Backbone(BoxHead):
    """Something that isn't a head."""


def model(**parts):
    built = nn.Module()
    for path, part in parts.items():
        owner, names = built, path.split("__")
        for name in names[:-1]:
            if not hasattr(owner, name):
                owner.add_module(name, nn.Module())
            owner = getattr(owner, name)
        owner.add_module(names[-1], part)
    return built


def data(*classes, **metainfo):
    return SimpleNamespace(metainfo=dict(classes=classes, **metainfo), data_prefix={})


def check(built, dataset, training=True):
    """What is warned of."""
    said = []
    check_heads(built, dataset, KEY, said.append, training=training)
    return said


def test_a_head_of_other_classes_is_named_with_both_numbers():
    sentence = (
        r"^model\.roi_head\.bbox_head\.num_classes=80, but train_dataloader\.dataset "
        r"has 2 classes \('cat', 'dog'\): the numbers must be equal$"
    )
    with pytest.raises(ConfigError, match=sentence):
        check(model(roi_head__bbox_head=BoxHead(num_classes=80)), data("cat", "dog"))


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("kind", ["list", "auxiliary", "one stage", "mask"])
def test_every_head_of_a_model_is_compared(kind, number):
    right, wrong = BoxHead(num_classes=2), BoxHead(num_classes=number)
    parts, name = {
        "list": (dict(roi_head__bbox_head=nn.ModuleList([right, wrong])), "head.1"),
        "auxiliary": (
            dict(decode_head=right, auxiliary_head=nn.ModuleList([right, wrong])),
            "auxiliary_head.1",
        ),
        "one stage": (dict(bbox_head=wrong), "model.bbox_head"),
        "mask": (
            dict(roi_head__bbox_head=right, roi_head__mask_head=wrong),
            "mask_head",
        ),
    }[kind]
    with pytest.raises(ConfigError, match=rf"{name}\.num_classes={number}, but .* 2"):
        check(model(**parts), data("cat", "dog"))


@pytest.mark.parametrize(
    "parts",
    [
        dict(rpn_head=BoxHead(num_classes=1)),
        dict(rpn_head__stages=nn.ModuleList([BoxHead(num_classes=1)])),
        dict(backbone__classifier_head=BoxHead(num_classes=1000)),
        dict(backbone=Backbone(num_classes=1000)),
        dict(roi_head__semantic_head=BoxHead(num_classes=183)),
        dict(roi_head__mask_head=BoxHead(num_classes=80, class_agnostic=True)),
        dict(roi_head__bbox_head__loss_cls=Backbone(num_classes=1203)),
        dict(auxiliary_head=STDCHead(num_classes=2)),
        dict(language_model=Backbone(), bbox_head=BoxHead(num_classes=256)),
        dict(reid__head=BoxHead(num_classes=380)),
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_what_counts_other_things_than_the_data_sets_classes_is_left_alone(parts):
    assert check(model(**parts), data("cat", "dog", "cow")) == []


@pytest.mark.parametrize(
    ("numbers", "classes", "fits"),
    [
        (dict(num_classes=2, out_channels=2), 2, True),
        (dict(num_classes=2, out_channels=1), 2, True),
        (dict(num_classes=1, out_channels=1), 2, True),
        (dict(num_classes=2, out_channels=1), 1, True),
        (dict(num_classes=2, out_channels=1), 3, False),
        (dict(num_classes=2, out_channels=2), 1, False),
    ],
)
def test_one_logit_separates_two_classes(numbers, classes, fits):
    built, dataset = model(decode_head=BoxHead(**numbers)), data(*"abc"[:classes])
    if fits:
        assert check(built, dataset) == []
    else:
        with pytest.raises(ConfigError, match="must be equal"):
            check(built, dataset)


def test_panoptic_heads_are_compared_with_things_and_stuff():
    dataset = data(*"abcde", thing_classes="ab", stuff_classes="cde")
    things = BoxHead(num_classes=2)
    heads = BoxHead(num_things_classes=2, num_stuff_classes=3, num_classes=4)
    built = model(roi_head__bbox_head=things, semantic_head=heads)
    assert check(built, dataset) == []
    heads.num_stuff_classes = 53
    sentence = (
        r"model\.semantic_head\.num_things_classes=2 and num_stuff_classes=53, but .*"
        r"5 classes .*, 2 of them thing_classes and 3 stuff_classes"
    )
    with pytest.raises(ConfigError, match=sentence):
        check(built, dataset)


def test_fewer_classes_may_be_evaluated_but_not_more():
    built = model(bbox_head=BoxHead(num_classes=3))
    (said,) = check(built, data("cat"), training=False)
    assert "num_classes=3" in said
    assert "only these are evaluated" in said
    with pytest.raises(ConfigError, match="has 4 classes"):
        check(built, data(*"abcd"), training=False)


def test_scenes_of_depth_maps_are_not_labels():
    dataset = data("kitchen", "office")
    dataset.data_prefix["depth_map_path"] = "annotations"
    assert check(model(decode_head=BoxHead(num_classes=1)), dataset) == []


@pytest.mark.parametrize("training", [True, False])
def test_keypoints_of_head_and_data_are_compared(training):
    built = model(roi_head__keypoint_head=BoxHead(num_keypoints=17))
    sentence = (
        r"^model\.roi_head\.keypoint_head\.num_keypoints=17, but train_dataloader\."
        r"dataset has 2 keypoints \('a', 'b'\)"
    )
    with pytest.raises(ConfigError, match=sentence):
        check(built, data("cup", keypoints=("a", "b")), training)
    assert check(built, data("cup", keypoints=tuple("abcdefghijklmnopq"))) == []
    assert check(built, data("cup")) == []


@pytest.mark.parametrize(
    ("metainfo", "words"),
    [
        (dict(classes="person"), r"'person' is one string.*write \('person',\)"),
        (dict(CLASSES=("a",)), "has CLASSES, which nothing reads"),
        (dict(classes=("a", 3)), "has 3, which is not a name"),
    ],
)
def test_classes_that_are_no_list_of_names_are_refused(metainfo, words):
    with pytest.raises(ConfigError, match=words):
        classes_of(SimpleNamespace(metainfo=metainfo), KEY)


def names(dataset):
    said = []
    check_names(dataset, KEY, said.append)
    return said


@pytest.mark.parametrize(
    ("classes", "missing"),
    [
        (("cat", "Dog"), "'Dog'"),  # spelt otherwise
        (("Cat", "Dog"), "'Cat', 'Dog'"),
        (("cat", "dog_"), "'dog_'"),
        (("bird", "dog"), "'bird'"),  # a dog's label would be 0
        ((), "'person', 'bicycle'"),  # COCO's, where metainfo is forgotten
    ],
)
def test_classes_that_the_file_lacks_are_named(coco, build, classes, missing):
    dataset = build(coco("a", "cat", "dog"), *classes)
    sentence = f"metainfo.classes has {missing}.* its categories are 'cat', 'dog'"
    with pytest.raises(ConfigError, match=sentence):
        names(dataset)


def test_classes_whose_lack_moves_no_label_are_warned_of(coco, build):
    (said,) = names(build(coco("a", "cat", "dog"), "cat", "dog", "zebra"))
    assert "'zebra'" in said


def test_some_of_a_files_categories_may_be_chosen(coco, build):
    path = coco("a", "cat", "dog", "cow")
    assert names(build(path, "cat", "cow")) == []
    (said,) = names(build(path, "cow", "cat"))
    assert "labels follow the order of" in said
    assert label_names(build(path, "cow", "cat"), KEY) == ("cat", "cow")


def test_a_data_set_with_a_rule_of_its_own_is_left_alone(coco, build):
    dataset = build(coco("a", "cat", "dog"), "Cat", "Dog")
    dataset.cat_ids = [1, 2]  # as LVIS does: all of the file
    assert names(dataset) == []
    assert label_names(dataset, KEY) == ("Cat", "Dog")


@pytest.mark.parametrize(
    "text",
    [
        '{"categories": [{"id": 1, "name": "caf\u00e9"}], "images": []}',
        '{"images": [], "categories"  :\n[{"id": 1, "name": "caf\u00e9"}]}',
        '{"info": {"categories": 7}, "categories": [{"id": 1, "name": "caf\u00e9"}]}',
        '{"categories": [{"id": 1, "name": "caf\u00e9", "more": "'
        + "x" * 3_000_000
        + '"}], "images": []}',
    ],
    ids=["first", "last", "twice", "long"],
)
def test_categories_are_read_without_the_rest_of_the_file(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    assert file_categories(path) == {1: "caf\u00e9"}


@pytest.mark.parametrize("text", ["", "[]", '{"categories": [3', '{"categories": 3}'])
def test_a_file_without_categories_has_none(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    assert file_categories(path) is None
    assert file_categories(tmp_path / "none.json") is None


def test_the_same_name_must_have_the_same_number_in_training_and_evaluation():
    said = []
    check_order(("cat", "dog"), "train", ("cat", "dog"), "val", said.append)
    check_order(("bed", "bed"), "train", ("bed", "bed"), "val", said.append)
    assert said == []
    check_order(("cat", "dog"), "train", ("cat",), "val", said.append)
    check_order(("person",), "train", ("pedestrian",), "val", said.append)
    assert said == [
        "val has 'cat', but train has 'cat', 'dog'",
        "val has 'pedestrian', but train has 'person'",
    ]
    sentence = r"'dog' is number 0 in val \('dog', 'cat'\), but number 1 in train"
    with pytest.raises(ConfigError, match=sentence):
        check_order(("cat", "dog"), "train", ("dog", "cat"), "val", said.append)
