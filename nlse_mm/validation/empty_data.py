"""Explain why a data set has nothing in it, or refuses its classes."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.runner import Runner

from nlse_mm.errors import (
    CheckpointError,
    ConfigError,
    MissingFileError,
    MissingPackageError,
    UnknownNameError,
)

from .agreement import check_names
from .class_names import classes_of, few, leaves

_PARTS = ("train", "val", "test")


# These say what is wrong, and it isn't a data set that a filter emptied.
_ABOUT_OTHERS = (
    CheckpointError,
    MissingFileError,
    MissingPackageError,
    UnknownNameError,
)


@contextmanager
def explain_unusable_data(runner: Runner) -> Iterator[None]:
    """Turn what an empty data set, or one without the classes, raises into a sentence.

    Nothing is read again unless something failed.

    Raises:
        ConfigError: Naming the filter that left nothing, or the classes.
    """
    try:
        yield
    except _ABOUT_OTHERS:
        raise
    except RuntimeError as error:
        _explain(error)
        raise
    except (ValueError, TypeError, AssertionError, ArithmeticError) as error:
        _explain(error)
        refuse_empty_loops(runner)
        raise


def _explain(error: Exception) -> None:
    """Raise the sentence if a data set can't be built."""
    frames = list(_frames(error))
    built = (f.f_code.co_name for f in frames)
    names = {f"build_{part}_loop": part for part in _PARTS}
    part = next((names[name] for name in built if name in names), None)
    key = f"{part}_dataloader.dataset" if part else "the data set"
    for frame in frames:
        _explain_building(frame, key, str(error))


def refuse_empty_loops(runner: Runner) -> None:
    """Refuse an empty data set in the loops that are built.

    Raises:
        ConfigError: Naming it, and why it is empty.
    """
    for part in _PARTS:
        loop = getattr(runner, f"_{part}_loop")
        dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
        for key, leaf in leaves(dataset, f"{part}_dataloader.dataset"):
            if isinstance(leaf, BaseDataset) and not len(leaf):
                raise ConfigError(why_empty(leaf, key))


def refuse_no_instances(found: Sequence[tuple[str, Any]]) -> None:
    """Refuse the data sets of a training if none of them has an annotation.

    Stock data sets leave out what is of other classes: with a misspelt class name of
    VOC's files a detector learns that there is nothing. They are read up to the first
    annotation.

    Args:
        found: The data sets proper, and their places in the config.

    Raises:
        ConfigError: If there is none in any of them.
    """
    if any(_has_instances(leaf) for _, leaf in found):
        return
    key, leaf = found[0]
    classes = few(classes_of(leaf, key) or ())
    raise ConfigError(
        f"{key}: none of the {len(leaf)} images of {leaf.ann_file} has a usable "
        f"annotation of the classes {classes}: are they written as in the file?"
    )


def _has_instances(dataset: Any) -> bool:
    """Say whether an image has a box to learn; True for data of another kind."""
    if not isinstance(dataset, BaseDataset):
        return True
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        if "instances" not in info or info.get("segments_info"):
            return True
        if any(not instance.get("ignore_flag") for instance in info["instances"]):
            return True
    return False


def _frames(error: Exception) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _explain_building(frame: FrameType, key: str, message: str) -> None:
    """Raise the sentence if this call is a data set's that can't be built."""
    name, own = frame.f_code.co_name, frame.f_locals
    dataset = own.get("self")
    if isinstance(dataset, ConcatDataset) and {"i", "key"} <= set(own):
        number, differs = own["i"] - 1, own["key"]
        raise ConfigError(
            f"{key}.datasets[{number}].metainfo.{differs} isn't that of {key}."
            f"datasets[0]: data sets are joined only if they agree ({message})"
        )
    if isinstance(dataset, BaseDataset):
        if name == "_serialize_data" and not dataset.data_list:
            raise ConfigError(why_empty(dataset, key))
        if name == "_find_samples" and not own.get("classes", True):
            raise ConfigError(
                f"{key} has no classes: {dataset.img_prefix} has no folders, one for "
                "each class with its images, and ann_file names no list of them"
            )
    if name == "get_label_map" and {"old_classes", "new_classes"} <= set(own):
        old, new = own["old_classes"], own["new_classes"]
        unknown = [name for name in new if name not in old]
        kind = own["cls"].__name__
        if unknown and not isinstance(new, str):
            raise ConfigError(
                f"{key}.metainfo.classes has {few(unknown)}, but {kind} has the "
                f"classes {few(old)}: BaseSegDataset takes classes of your own"
            )
        raise ConfigError(f"{key}.metainfo.classes={new!r} is not a list of names")
    if name == "_update_palette":
        colours, classes = (own.get(n) or () for n in ("palette", "classes"))
        raise ConfigError(
            f"{key}.metainfo.palette has {len(colours)} colours for {len(classes)} "
            "classes: the numbers must be equal"
        )
    if isinstance(dataset, BaseDataset) and "`classes` should be" in message:
        raise ConfigError(
            f"{key} has no classes, which an evaluation needs: give it "
            "metainfo=dict(classes=(...))"
        )


def why_empty(dataset: Any, key: str) -> str:
    """Return the sentence for a data set without images.

    Raises:
        ConfigError: If it is its classes that leave nothing.
    """
    classes = classes_of(dataset, key)
    where = dataset.ann_file or dataset.data_prefix.get("img_path") or key
    loaded = dataset.load_data_list()
    if not loaded:
        suffix = getattr(dataset, "img_suffix", None)
        ending = f" with img_suffix={suffix!r}" if suffix else ""
        return f"{key} is empty: {where} has no images{ending}"
    check_names(dataset, key, lambda sentence: None)
    filters = dict(dataset.filter_cfg or {})
    if _left(dataset, loaded, filters):
        return (
            f"{key}.indices={dataset._indices} takes none of its {len(loaded)} images"
        )
    alone = [f for f in filters if not _left(dataset, loaded, {f: filters[f]})]
    guilty = alone or filters
    named = ", ".join(f"filter_cfg.{f}={filters[f]!r}" for f in guilty)
    said = f"{key} is empty: {named} leaves none of {len(loaded)} images of {where}"
    if "filter_empty_gt" in guilty and classes:
        said += f", which has no usable annotation of the classes {few(classes)}"
    return said


def _left(dataset: Any, loaded: list[Any], filters: dict[str, Any]) -> int:
    """Return how many images these filters leave."""
    filtered = copy.copy(dataset)
    filtered.data_list, filtered.filter_cfg = loaded, filters
    return len(filtered.filter_data())
