"""Compare model, data and evaluation with each other before the first step."""

import os
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from nlse_mm.arguments import checked
from nlse_mm.registry import HOOKS
from nlse_mm.validation.agreement import (
    Warn,
    check_heads,
    check_names,
    check_order,
    has_words,
    heads_of,
)
from nlse_mm.validation.class_names import label_names, leaves
from nlse_mm.validation.empty_data import refuse_empty_loops, refuse_no_instances
from nlse_mm.validation.image_sizes import check_image_sizes
from nlse_mm.validation.label_images import check_label_images
from nlse_mm.validation.videos import check_videos


@HOOKS.register_module()
@checked
class CheckAgreementHook(Hook):
    """Refuse settings that don't fit each other, and say which.

    Heads' ``num_classes`` and ``num_keypoints`` against the data sets' classes and
    keypoints; ``metainfo.classes`` against the annotations; validation
    against training; sizes of images and values of labels, in a sample of the
    files, which one process of a machine reads; whether videos can be read.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner: Runner) -> None:
        """Compare what training and validation use.

        Raises:
            ConfigError: Naming the first settings that don't agree.
        """
        refuse_empty_loops(runner)
        train = _check(runner, "train", runner.train_loop)
        # Not runner.val_loop, which would build one that isn't needed.
        val = _check(runner, "val", runner._val_loop)
        if train is None or val is None:
            return
        if not has_words(runner.model):
            keys = [f"{part}_dataloader.dataset" for part in ("train", "val")]
            _check_same(train, keys[0], val, keys[1], runner.logger.warning)

    def before_test(self, runner: Runner) -> None:
        """Compare what a test uses.

        Raises:
            ConfigError: Naming the first settings that don't agree.
        """
        refuse_empty_loops(runner)
        _check(runner, "test", runner.test_loop)


def _check(runner: Runner, part: str, loop: Any) -> Any:
    """Check the data sets proper of a loop, and return the first of them."""
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    if dataset is None:
        return None
    warn = runner.logger.warning
    model = _without_wrappers(runner.model)
    found = list(leaves(dataset, f"{part}_dataloader.dataset"))
    for key, leaf in found:
        check_names(leaf, key, warn)
        check_heads(model, leaf, key, warn, training=part == "train")
        check_videos(leaf, key, warn)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            check_label_images(leaf, key, model, warn, training=part == "train")
            check_image_sizes(leaf, key, warn)
    if part == "train" and any(heads_of(model)):
        refuse_no_instances(found)
    first_key, first = found[0]
    for key, leaf in () if has_words(model) else found[1:]:
        _check_same(first, first_key, leaf, key, warn)
    return first


def _check_same(first: Any, key: str, second: Any, other: str, warn: Warn) -> None:
    """Compare the numbers of classes and keypoints of two data sets."""
    keypoints = [
        (getattr(dataset, "metainfo", None) or {}).get("keypoints")
        for dataset in (first, second)
    ]
    for one, two in ((label_names(first, key), label_names(second, other)), keypoints):
        if one is not None and two is not None:
            check_order(one, key, two, other, warn)


def _without_wrappers(model: Any) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
