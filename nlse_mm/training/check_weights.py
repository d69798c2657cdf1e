"""Refuse another model's checkpoint before anything is loaded."""

import logging
from collections import OrderedDict
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from torch import nn

from nlse_mm.arguments import checked
from nlse_mm.checkpoint import check_coverage
from nlse_mm.checkpoint.coverage.dry_load import own_state, unwrapped
from nlse_mm.checkpoint.coverage.weights import weights_of
from nlse_mm.checkpoint.loading.schemes import whole
from nlse_mm.errors import CheckpointError, ConfigError
from nlse_mm.registry import HOOKS

from .config import add_hook
from .published_classifier import check_images, named_as_in, published_classifier


@HOOKS.register_module()
@checked
class CheckWeightsHook(Hook):
    """Apply ``nlse_mm.checkpoint.check_coverage`` to what is resumed, loaded or tested.

    Args:
        path: The checkpoint's name, for the messages.
        testing: Whether weights in another shape are refused too.
        refuse: Whether to stop; else the reason is a warning.
    """

    priority = "VERY_HIGH"  # before EMAHook swaps keys

    def __init__(self, path: str, testing: bool = False, refuse: bool = True) -> None:
        self.path = path
        self.testing = testing
        self.refuse = refuse

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Raise ``CheckpointError``, or leave in ``checkpoint`` what was checked."""
        weights = checked_weights(
            unwrapped(runner.model),
            checkpoint,
            self.path,
            runner.cfg,
            refuse=self.refuse,
            testing=self.testing,
            resuming=runner._resume,
        )
        # The Runner takes "module" and one character more off a key's beginning, and
        # would do so to a model's own module_list.
        for key in [key for key in weights if key.startswith("module")]:
            weights[f"module.{key}"] = weights.pop(key)
        checkpoint["state_dict"] = weights


def checked_weights(
    model: nn.Module,
    checkpoint: Any,
    path: str,
    cfg: Config,
    *,
    refuse: bool = True,
    **stage: bool,
) -> "OrderedDict[str, Any]":
    """Return a checkpoint's weights under the model's keys, once they are checked.

    Those of a classifier may have the keys that timm or the SENet authors publish.

    Args:
        model: The built model.
        checkpoint: What was loaded.
        path: Its name, for the messages.
        cfg: The model's config.
        refuse: Whether to stop; else the reason is a warning.
        stage: ``testing`` and ``resuming``, as in ``check_coverage``.
    """
    weights: OrderedDict[str, Any] = OrderedDict()
    try:
        weights = weights_of(checkpoint, path, [key for key, _ in own_state(model)])
        if published := published_classifier(model, weights, path):
            weights = OrderedDict(named_as_in(model, published, weights))
            model.get_submodule("backbone").check_published(published)
            if stage.get("testing"):
                check_images(cfg, published)
        check_coverage(model, weights, path, **stage)
    except CheckpointError as error:
        if refuse:
            raise
        print_log(
            f"check_weights=False: {error}", logger="current", level=logging.WARNING
        )
    return weights


def load_checked(model: nn.Module, path: str, cfg: Config) -> None:
    """Load the checkpoint at ``path`` into the built model of ``cfg``, to test it.

    Raises:
        ConfigError: If it isn't the model's.
    """
    checkpoint = CheckpointLoader.load_checkpoint(whole(path), map_location="cpu")
    refuse = refuses_other_weights(cfg)
    weights = checked_weights(model, checkpoint, path, cfg, refuse=refuse, testing=True)
    load_state_dict(model, weights)


def refuses_other_weights(cfg: Config) -> bool:
    """Return the config's ``check_weights``, which is True by default.

    Raises:
        ConfigError: For anything but True and False.
    """
    wanted = cfg.get("check_weights", True)
    if not isinstance(wanted, bool):
        raise ConfigError(f"check_weights={wanted!r} is neither True nor False")
    return wanted


def add_weights_check(cfg: Config, testing: bool = False) -> None:
    """Have the Runner check what ``cfg.load_from`` names, if it names anything."""
    refuse = refuses_other_weights(cfg)
    if cfg.get("load_from"):
        add_hook(
            cfg,
            type="nlse_mm.CheckWeightsHook",
            path=cfg.load_from,
            testing=testing,
            refuse=refuse,
        )
