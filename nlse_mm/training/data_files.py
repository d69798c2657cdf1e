"""Validate the paths of the data before anything is built, and name their keys."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, METRICS, Registry

from nlse_mm.errors import ConfigError
from nlse_mm.validation.coco_check import Node, check_coco_files

from .process_group import is_first_here


def check_data_files(cfg: Config, *parts: str) -> None:
    """Refuse a config whose annotation files or image folders are missing or wrong.

    Existence is for all data; what is in a file, for COCO's. Of the processes of one
    machine the first one reads.

    Args:
        cfg: The config.
        parts: Which data to check: ``'train'``, ``'val'``, ``'test'``.

    Raises:
        ConfigError: Naming the first missing file, its key, and how to link data; or
            what is wrong in a file.
    """
    scope = cfg.get("default_scope") or "mmengine"
    for part in parts:
        loader = cfg.get(f"{part}_dataloader") or {}
        found: list[Node] = []
        metrics: list[Node] = []
        with DATASETS.switch_scope_and_registry(scope) as registry:
            nodes = _datasets(loader.get("dataset"), f"{part}_dataloader.dataset")
            for key, dataset in nodes:
                for name, path in _paths(dataset, registry):
                    _check(path, f"{key}.{name}", dataset.get("data_root"))
                    if name == "ann_file" and "://" not in path:
                        cls = _class(dataset, registry)
                        found.append(Node(key, dataset, cls, path))
        with METRICS.switch_scope_and_registry(scope) as registry:
            evaluators = cfg.get(f"{part}_evaluator")
            for key, evaluator in _evaluators(evaluators, f"{part}_evaluator"):
                ann_file = evaluator.get("ann_file")
                if isinstance(ann_file, str) and not evaluator.get("backend_args"):
                    _check(ann_file, f"{key}.ann_file", None)
                    if ann_file and "://" not in ann_file:
                        cls = _class(evaluator, registry)
                        metrics.append(Node(key, evaluator, cls, ann_file))
        if is_first_here(cfg):
            check_coco_files(found, metrics, part == "train")


def fill_ann_files(cfg: Config, *parts: str) -> None:
    """Give a keypoint metric without an ``ann_file`` its only data set's, in place."""
    for part in parts:
        loader = cfg.get(f"{part}_dataloader") or {}
        datasets = [dataset for _, dataset in _datasets(loader.get("dataset"), "")]
        for _, metric in _evaluators(cfg.get(f"{part}_evaluator"), ""):
            is_ours = metric.get("type") == "nlse_mm.CocoKeypointMetric"
            if is_ours and metric.get("ann_file") is None and len(datasets) == 1:
                root = datasets[0].get("data_root") or ""
                metric["ann_file"] = os.path.join(root, datasets[0].get("ann_file", ""))


def _datasets(node: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the data sets proper, below any wrappers such as ConcatDataset."""
    if isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _datasets(child, f"{key}[{i}]")
    elif isinstance(node, dict):
        if "dataset" in node or "datasets" in node:
            for name in ("dataset", "datasets"):
                yield from _datasets(node.get(name), f"{key}.{name}")
        else:
            yield key, node


def _evaluators(node: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the metrics proper, in a list or below a MultiDatasetsEvaluator."""
    if isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _evaluators(child, f"{key}[{i}]")
    elif isinstance(node, dict):
        below = node.get("metrics")
        if isinstance(below, list) and all(isinstance(m, dict) for m in below):
            yield from _evaluators(below, f"{key}.metrics")
        else:
            yield key, node


def _class(node: Mapping[str, Any], registry: Registry) -> Any:
    kind = node.get("type")
    return registry.get(kind) if isinstance(kind, str) else kind


def _paths(dataset: Mapping[str, Any], registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield what a data set will open that joins paths as MMEngine's BaseDataset."""
    cls = _class(dataset, registry)
    is_known = isinstance(cls, type) and issubclass(cls, BaseDataset)
    if not is_known or dataset.get("backend_args"):
        return
    root = dataset.get("data_root") or ""
    named = {"ann_file": dataset.get("ann_file")}
    prefix = dataset.get("data_prefix")
    # A plain string is MMPretrain's, some of whose data sets download what is missing.
    for name, path in prefix.items() if isinstance(prefix, Mapping) else ():
        named[f"data_prefix.{name}"] = path
    for name, path in named.items():
        if isinstance(path, str) and path:
            yield name, os.path.join(root, path)


def _check(path: str, key: str, root: str | None) -> None:
    if "://" in path or os.path.exists(path):
        return
    link = ""
    if root and not os.path.exists(root):
        link = f"link the data with ln -s WHERE-IT-IS {root.rstrip('/')}, or "
    raise ConfigError(
        f"{path} does not exist ({key}, seen from {Path.cwd()}): {link}set the right "
        "path with --cfg-options"
    )
