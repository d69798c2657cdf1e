"""Check the COCO files of a config before anything is built.

Keypoint data sets and metrics check their files themselves when they are built, which
is before the first step. Stock ones don't check, and none notices that its evaluator
has a file of other images.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import DETECTION

from .coco_json import LISTS, SMALL, check_large, check_lists, read_object, short
from .coco_records import check_for_dataset, check_for_metric, check_panoptic

Content = dict[str, Any]
Read = Callable[[str, Sequence[str]], Content]
_FOR_TESTING = ("images", "categories")


class Node(NamedTuple):
    """Hold a data set or an evaluator of a config, and its annotation file."""

    key: str
    config: Mapping[str, Any]
    cls: type | None
    path: str

    def is_a(self, *names: str) -> bool:
        """Say whether its class is or inherits from one of these names."""
        mro = self.cls.__mro__ if isinstance(self.cls, type) else ()
        return any(cls.__name__ in names for cls in mro)

    def inherits(self, name: str, *methods: str) -> bool:
        """Say whether it is a ``name`` and leaves these methods as they are there."""
        mro = self.cls.__mro__ if isinstance(self.cls, type) else ()
        bases = [cls for cls in mro if cls.__name__ == name]
        return bool(bases) and all(
            getattr(self.cls, m) is getattr(bases[0], m) for m in methods
        )

    def classes(self) -> Sequence[str] | None:
        """Return the names of the classes; None if they aren't a plain list."""
        given = (self.config.get("metainfo") or {}).get("classes")
        given = given or getattr(self.cls, "METAINFO", {}).get("classes")
        return given if isinstance(given, (list, tuple)) else None


def check_coco_files(
    datasets: Sequence[Node], evaluators: Sequence[Node], training: bool
) -> None:
    """Check the annotation files of the data sets and evaluators of one loader.

    A stock data set's file of up to 64 MiB is parsed once more than it would be, for at
    most 3 s; of a larger one only the brackets are counted, see ``check_large``.

    Raises:
        ConfigError: Naming the file, what is wrong there, and the config's key.
    """
    parsed: dict[str, Content] = {}

    def read(path: str, required: Sequence[str]) -> Content:
        real = os.path.realpath(path)
        if real not in parsed:
            parsed[real] = read_object(path, path)
        return check_lists(parsed[real], path, required)

    for dataset in datasets:
        if _reads_coco(dataset) and not dataset.is_a("CocoKeypointDataset"):
            with _naming(dataset):
                _check_dataset(dataset, read, training)
    for i, metric in enumerate(evaluators):
        if not metric.is_a("CocoMetric", "CocoPanopticMetric", "CocoKeypointMetric"):
            continue
        own = datasets[i : i + 1] if len(evaluators) == len(datasets) else datasets
        with _naming(metric):
            if DETECTION.owns(metric.cls):
                _check_metric(metric, own, read)
            for dataset in own:
                if _reads_coco(dataset) and not metric.config.get("format_only"):
                    _check_pair(dataset, metric, read)


def _reads_coco(dataset: Node) -> bool:
    """Say whether a data set reads its file as COCO's, as far as its class shows."""
    if dataset.is_a("CocoKeypointDataset"):
        return dataset.inherits("CocoKeypointDataset", "load_data_list", "COCOAPI")
    # A subclass may read whatever it likes.
    return (
        dataset.is_a("CocoDataset")
        and dataset.inherits("CocoDataset", "load_data_list")
        and DETECTION.owns(getattr(dataset.cls, "COCOAPI", None))
    )


@contextmanager
def _naming(node: Node) -> Iterator[None]:
    """Add the config's key to what is wrong with a file."""
    try:
        yield
    except (ConfigError, OSError) as error:
        raise ConfigError(f"{error} ({node.key}.ann_file)") from error


def _check_dataset(dataset: Node, read: Read, training: bool) -> None:
    required = LISTS if training else _FOR_TESTING
    _check_encoding(dataset.path)
    if os.path.getsize(dataset.path) > SMALL:
        check_large(dataset.path, required)
        return
    content = read(dataset.path, required)
    if dataset.is_a("CocoPanopticDataset"):
        check_panoptic(content, dataset.path)
    elif dataset.inherits("CocoDataset", "parse_data_info", "COCOAPI"):
        masks = _loads_masks(dataset.config.get("pipeline"))
        classes = dataset.classes()
        check_for_dataset(
            content, dataset.path, classes, training=training, masks=masks
        )


def _loads_masks(node: Any) -> bool:
    """Say whether a transform in a pipeline, at any depth, has ``with_mask=True``."""
    if isinstance(node, (list, tuple)):
        return any(map(_loads_masks, node))
    if not isinstance(node, dict):
        return False
    return bool(node.get("with_mask")) or any(map(_loads_masks, node.values()))


def _check_metric(metric: Node, datasets: Sequence[Node], read: Read) -> None:
    only_writes = bool(metric.config.get("format_only"))
    _check_encoding(metric.path)
    is_datas = any(os.path.samefile(metric.path, d.path) for d in datasets)
    if is_datas and os.path.getsize(metric.path) > SMALL:
        return  # checked as the data set's
    content = read(metric.path, _FOR_TESTING if only_writes else LISTS)
    if metric.is_a("CocoPanopticMetric"):
        check_panoptic(content, metric.path)
    elif metric.inherits("CocoMetric", "compute_metrics") and not only_writes:
        kinds = metric.config.get("metric", "bbox")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        classes = datasets[0].classes() if len(datasets) == 1 else None
        check_for_metric(content, metric.path, kinds, classes)


def _check_encoding(path: str) -> None:
    """Check that a file is UTF-8 without a mark, the only text that COCO's tools read.

    Raises:
        ConfigError: If it isn't.
    """
    if not os.path.isfile(path):
        return  # read_coco says so
    with open(path, "rb") as file:
        encoding = json.detect_encoding(file.read(4))
    if encoding != "utf-8" and os.path.getsize(path):
        raise ConfigError(
            f"{path} is {encoding.upper()}, by the bytes it begins with, and COCO's "
            "tools read UTF-8 without a byte-order mark only: save it so"
        )


def _check_pair(dataset: Node, metric: Node, read: Read) -> None:
    """Check that an evaluator's file has the data set's images, and labels mean one.

    A stock label is a class's place in its file; a keypoint label its place in the
    classes.
    """
    ours = metric.is_a("CocoKeypointMetric")
    same_order = ours == dataset.is_a("CocoKeypointDataset")
    if os.path.samefile(dataset.path, metric.path) and same_order:
        return
    content = read(dataset.path, _FOR_TESTING)
    truth = read(metric.path, _FOR_TESTING)
    of = (lambda i: str(i)) if ours else (lambda i: i)
    known = {of(image.get("id")) for image in truth["images"]}
    missing = [i.get("id") for i in content["images"] if of(i.get("id")) not in known]
    cut = dataset.config.get("indices") is not None
    cut |= not dataset.config.get("test_mode") and bool(
        dataset.config.get("filter_cfg")
    )
    total = len(content["images"])
    if missing and (not cut or len(missing) == total):
        raise ConfigError(
            f"{metric.path} has no image with the id {short(missing[0])}, nor "
            f"{len(missing) - 1} others of the {total} in {dataset.path}, which are "
            "evaluated"
        )
    classes = dataset.classes()
    if ours or classes is None:
        return
    found = truth["categories"]
    if metric.config.get("sort_categories"):
        found = sorted(found, key=lambda c: c["id"])
    there = [c.get("name") for c in found if c.get("name") in classes]
    here = list(classes)
    if not dataset.is_a("CocoKeypointDataset"):
        here = [c.get("name") for c in content["categories"]]
        here = [name for name in here if name in classes]
    # Classes that the evaluator's file has beyond them come last, and shift nothing.
    if here != there[: len(here)]:
        first = next(i for i, name in enumerate(here) if there[i : i + 1] != [name])
        raise ConfigError(
            f"{metric.path} has other categories, or in another order, than "
            f"{dataset.path}: label {first} is {here[first]!r} in the data, and "
            f"{short((there[first : first + 1] or [None])[0])} here"
        )
