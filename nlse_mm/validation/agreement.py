"""Compare settings that must agree: heads, data sets, annotation files, evaluators."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from nlse_mm.errors import ConfigError

from .class_names import chosen, classes_of, few, file_categories

Warn = Callable[[str], None]
Metainfo = Mapping[str, Any]

# Parts of a model whose num_classes isn't the data set's: regions against background,
# ImageNet, people's identities, words, and semantic labels beside the boxes.
_OTHER_CLASSES = re.compile(
    r"(^|\.)(backbone|neck|\w*rpn_head|semantic_head|\w*reid\w*|language_model"
    r"|text_encoder|image_encoder|loss\w*)(\.|$)"
)
_OTHER_HEADS = ("STDCHead", "FusedSemanticHead")  # edges; COCO-Stuff beside the boxes


def check_heads(
    model: nn.Module, dataset: Any, key: str, warn: Warn, *, training: bool
) -> None:
    """Compare ``num_classes`` and ``num_keypoints`` of every head with a data set.

    Args:
        model: The model, without wrappers.
        dataset: A data set proper.
        key: Its place in the config.
        warn: What to call where fewer classes than the model's are evaluated.
        training: Whether the model is trained on the data set.

    Raises:
        ConfigError: Naming the head, its number, and the data set's.
    """
    classes = classes_of(dataset, key)
    heads = list(heads_of(model))
    metainfo = getattr(dataset, "metainfo", None) or {}
    if classes is not None and _has_labels(dataset):
        wrong = {p: h for p, h in heads if not _fits(h, classes, metainfo)}
        numbers = ", ".join(f"{p}.{_number(h)}" for p, h in wrong.items())
        said = f"{numbers}, but {key} has {_classes(classes, metainfo)}"
        if wrong and (training or any(_is_short(h, classes) for h in wrong.values())):
            raise ConfigError(f"{said}: the numbers must be equal")
        if wrong:
            warn(f"{said}: only these are evaluated")
    keypoints = metainfo.get("keypoints")
    for path, head in model.named_modules():
        number = getattr(head, "num_keypoints", None)
        if not keypoints or not isinstance(number, int) or number == len(keypoints):
            continue
        raise ConfigError(
            f"model.{path}.num_keypoints={number}, but {key} has {len(keypoints)} "
            f"keypoints ({few(keypoints)}): the numbers must be equal"
        )


def has_words(model: nn.Module) -> bool:
    """Say whether its classes are words that it reads, as Grounding DINO's are."""
    return any("language_model" in path for path, _ in model.named_modules())


def heads_of(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the heads whose ``num_classes`` is the data set's, with their places."""
    if has_words(model):
        return
    for path, module in model.named_modules():
        kind = type(module).__name__
        if (
            not kind.endswith("Head")
            or kind in _OTHER_HEADS
            or not isinstance(getattr(module, "num_classes", None), int)
            or getattr(module, "class_agnostic", False)
        ):
            continue
        if hasattr(module, "num_stuff_classes") or not _OTHER_CLASSES.search(path):
            yield f"model.{path}", module


def _has_labels(dataset: Any) -> bool:
    """Say whether its classes are those of labels: depth maps have scenes instead."""
    return "depth_map_path" not in (getattr(dataset, "data_prefix", None) or {})


def _fits(head: Any, classes: Sequence[str], metainfo: Metainfo) -> bool:
    things = metainfo.get("thing_classes")
    if hasattr(head, "num_stuff_classes"):
        split = (head.num_things_classes, head.num_stuff_classes)
        if things is not None and "stuff_classes" in metainfo:
            return split == (len(things), len(metainfo["stuff_classes"]))
        return len(classes) in (sum(split), head.num_classes)
    numbers = {len(classes)} if things is None else {len(classes), len(things)}
    if getattr(head, "out_channels", None) == 1 and len(classes) <= 2:
        return head.num_classes <= 2  # one logit separates two classes
    return head.num_classes in numbers


def _is_short(head: Any, classes: Sequence[str]) -> bool:
    return hasattr(head, "num_stuff_classes") or head.num_classes < len(classes)


def _classes(classes: Sequence[str], metainfo: Metainfo) -> str:
    said = f"{len(classes)} class{'es' * (len(classes) != 1)} ({few(classes)})"
    if "thing_classes" in metainfo:
        things, stuff = (
            len(metainfo.get(f"{kind}_classes") or ()) for kind in ("thing", "stuff")
        )
        said += f", {things} of them thing_classes and {stuff} stuff_classes"
    return said


def _number(head: Any) -> str:
    if hasattr(head, "num_stuff_classes"):
        things, stuff = head.num_things_classes, head.num_stuff_classes
        return f"num_things_classes={things} and num_stuff_classes={stuff}"
    return f"num_classes={head.num_classes}"


def check_names(dataset: Any, key: str, warn: Warn) -> None:
    """Compare ``metainfo.classes`` with the categories of the annotation file.

    MMDetection numbers the classes that the file has and leaves the others out, so that
    a name that the file lacks shifts the labels of those behind it.

    Raises:
        ConfigError: Naming the classes that the file lacks, and what it has.
    """
    classes = classes_of(dataset, key)
    ids = getattr(dataset, "cat_ids", None)
    if classes is None or not isinstance(ids, list):
        return
    in_file = file_categories(dataset.ann_file)
    if in_file is None or chosen(in_file, classes) != ids:
        return
    names = list(in_file.values())
    missing = [name for name in classes if name not in names]
    found = tuple(in_file[i] for i in ids)
    if missing:
        said = (
            f"{key}.metainfo.classes has {few(missing)}, which {dataset.ann_file} "
            f"doesn't have: its categories are {few(names)}"
        )
        unused = [name for name in names if name not in classes]
        misspelt = any(_like(name, unused) for name in missing)
        if misspelt or found != classes[: len(found)] or not found:
            raise ConfigError(said)
        warn(said)
    elif found != classes:
        warn(
            f"{key}: labels follow the order of {dataset.ann_file} ({few(found)}), "
            f"not that of metainfo.classes ({few(classes)}), by which they are drawn"
        )


def _like(name: str, others: Sequence[str]) -> bool:
    plain = [re.sub(r"[\W_]", "", other.lower()) for other in others]
    own = re.sub(r"[\W_]", "", name.lower())
    return bool(difflib.get_close_matches(own, plain, n=1, cutoff=0.8))


def check_order(
    names: Sequence[str], key: str, others: Sequence[str], other: str, warn: Warn
) -> None:
    """Compare the names of labels, or of keypoints, of training and of evaluation.

    Raises:
        ConfigError: If a name has one number here and another there.
    """
    for i, name in enumerate(others):
        is_same = i < len(names) and names[i] == name
        if not is_same and name in names:
            raise ConfigError(
                f"{name!r} is number {i} in {other} ({few(others)}), but number "
                f"{list(names).index(name)} in {key} ({few(names)})"
            )
    if tuple(others) != tuple(names):
        warn(f"{other} has {few(others)}, but {key} has {few(names)}")
