"""Check some label images of a segmentation data set before the first step."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS
from torch import nn

from nlse_mm.errors import ConfigError, MissingFileError
from nlse_mm.toolbox import SEGMENTATION, is_stock, package_of

from .agreement import Warn
from .class_names import classes_of
from .image_sizes import loaded_size, pipeline_of, spread

_FILES = 32
_MOST = 500  # where those show a single class
_ENOUGH = 10  # so many files of three or more classes show more than one of them


def check_label_images(
    dataset: Any, key: str, model: nn.Module, warn: Warn, *, training: bool
) -> None:
    """Load labels spread over the data set as its pipeline does, and judge them.

    Args:
        dataset: A data set proper.
        key: Its place in the config.
        model: The model, whose heads say which label doesn't count.
        warn: What to call for what stock evaluation takes.
        training: Whether the model is trained on the data set.

    Raises:
        ConfigError: If they show a single class, their loader isn't set as the rest, or
            ``LoadSegLabels`` refuses one of them.
        MissingFileError: If there is no file for one of them.
    """
    steps = list(_flat(pipeline_of(dataset)))
    loader = next((step for step in steps if _loads_labels(step)), None)
    if loader is None or not hasattr(dataset, "reduce_zero_label"):
        return
    heads: list[Any] = [
        module for module in model.modules() if type(module).__name__.endswith("Head")
    ]
    ignored = {h.ignore_index for h in heads if hasattr(h, "ignore_index")} or {255}
    classes = classes_of(dataset, key)
    _compare_loader(loader, dataset, key, classes, ignored, training)
    # A transform of the user's own may write other labels.
    is_final = all(_is_known(step) for step in steps[steps.index(loader) + 1 :])
    stock = SEGMENTATION.owns(type(loader))
    if stock:
        loader = _with_checks(loader, heads, classes, ignored)
    no_label = ignored | {getattr(loader, "ignore_index", 255)}
    try:
        for most in (_FILES, _MOST):
            files = list(spread(len(dataset), most))
            found = _labels_of(dataset, files, loader, stock)
            if len(found - no_label) > 1:
                return
    except Exception as error:
        if not _is_known(loader):
            return  # a loader of the user's own may need what comes before it
        is_judged = isinstance(error, ConfigError)
        is_judged &= not isinstance(error, MissingFileError)
        if not is_judged or not stock or (training and is_final):
            raise
        warn(f"{key}: {error}")
        return
    number = len(classes or ()) or getattr(loader, "num_classes", 0)
    if number > 1 and found:
        said, is_wrong = _judged(found, no_label, number, len(files), dataset, key)
        if is_wrong and is_final:
            raise ConfigError(said)
        warn(said)


def _flat(transforms: Any) -> Iterator[Any]:
    """Yield the transforms, those inside wrappers too."""
    if isinstance(transforms, (list, tuple)):
        for transform in transforms:
            yield from _flat(transform)
        return
    yield transforms
    for name in ("transforms", "subroutines"):
        if hasattr(transforms, name):
            yield from _flat(getattr(transforms, name))


def _is_known(transform: Any) -> bool:
    """Say whether it is a toolbox's or ours, none of which changes labels' values."""
    return is_stock(type(transform)) or package_of(type(transform)) == "nlse_mm"


def _loads_labels(transform: Any) -> bool:
    """Say whether it is MMSegmentation's ``LoadAnnotations`` or one made of it."""
    return any(
        cls.__name__ == "LoadAnnotations" and SEGMENTATION.owns(cls)
        for cls in type(transform).__mro__
    )


def _compare_loader(
    loader: Any,
    dataset: Any,
    key: str,
    classes: Sequence[str] | None,
    ignored: set[int],
    training: bool,
) -> None:
    """Refuse a loader that is set otherwise than the data set or the model's heads."""
    number = getattr(loader, "num_classes", None)
    count = None if classes is None else len(classes)
    # A part of the model's classes may be evaluated.
    if (
        number is not None
        and count is not None
        and (number < count or (training and number > count))
    ):
        raise ConfigError(
            f"LoadSegLabels.num_classes={number}, but {key} has {count} "
            "classes: the numbers must be equal"
        )
    index = getattr(loader, "ignore_index", 255)
    if index != 255 and index not in ignored:
        raise ConfigError(
            f"LoadSegLabels.ignore_index={index} in {key}, but the model's heads have "
            f"ignore_index={', '.join(map(str, sorted(ignored)))}: the numbers must be "
            "equal"
        )
    given = loader.reduce_zero_label
    if given is not None and given != dataset.reduce_zero_label:
        raise ConfigError(
            f"{type(loader).__name__}.reduce_zero_label={given}, but {key} has "
            f"reduce_zero_label={dataset.reduce_zero_label}: set it in the data set "
            "alone"
        )


def _with_checks(
    loader: Any, heads: Sequence[Any], classes: Sequence[str] | None, ignored: set[int]
) -> Any:
    """Return a ``LoadSegLabels`` that reads as a stock loader does."""
    if classes is None:
        number = max((getattr(h, "num_classes", 0) for h in heads), default=0) or 256
    else:
        number = len(classes)
    if any(getattr(head, "out_channels", None) == 1 for head in heads):
        number = max(number, 2)  # one logit, labels 0 and 1
    return TRANSFORMS.build(
        dict(
            type="nlse_mm.LoadSegLabels",
            num_classes=number,
            ignore_index=255 if 255 in ignored else min(ignored),
            imdecode_backend=loader.imdecode_backend,
            backend_args=loader.backend_args,
        )
    )


def _labels_of(dataset: Any, files: list[int], loader: Any, is_stock: bool) -> set[int]:
    """Return every label in these files, as the model gets them."""
    images = next(iter(pipeline_of(dataset)), None)
    found: set[int] = set()
    for i in files:
        info = dataset.get_data_info(i)
        # Stock loading takes labels of any size: a resizing of both may be meant.
        path, reader = (
            (info.get("seg_map_path"), None) if is_stock else (info["img_path"], images)
        )
        size, _ = loaded_size(path, reader) if path else (None, False)
        if size is None and not is_stock:
            continue  # the image itself can't be read: its loader says so
        info["ori_shape"] = size or (0, 0)
        labels = loader(info)["gt_seg_map"]
        found.update(np.flatnonzero(np.bincount(labels.ravel(), minlength=1)).tolist())
    return found


def _judged(
    found: set[int],
    no_label: set[int],
    number: int,
    files: int,
    dataset: Any,
    key: str,
) -> tuple[str, bool]:
    """Write that there is one class alone, or none, in all of the files.

    Returns:
        The sentence, and whether that can't be meant.
    """
    real = sorted(found - no_label)
    void = sorted(found & no_label)
    said = (
        f"{key}: the {files} label images checked in "
        f"{dataset.data_prefix.get('seg_map_path')} have "
    )
    said += f"no pixel of any class but {real[0]}" if real else "no pixel of any class"
    if void:
        said += f", and {void[0]}, which is no label"
    if dataset.reduce_zero_label:
        said += (
            ": reduce_zero_label=True takes 0 for no label and 1 less for the others, "
            "so it must be False where 0 is a class"
        )
    elif void and not dataset.label_map:
        said += (
            ": in masks of two values the classes are 0 and 1, so a class written as "
            f"{void[0]} has to become 1"
        )
    # A choice of classes makes void of the others.
    is_void_odd = bool(void) and not dataset.label_map
    return said, is_void_odd and (not real or number == 2 or files >= _ENOUGH)
