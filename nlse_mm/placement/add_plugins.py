"""Add plugins to a model that is built already, whoever built it."""

from functools import partial
from typing import Any, TypeVar

from mmengine.model import BaseModule
from torch import nn

from nlse_mm.errors import ConfigError

from .dry_run import DryRun
from .entries import Entries, ModelEntry, parse_entries
from .into_model import place_in_model

Model = TypeVar("Model", bound=nn.Module)


def add_plugins(model: Model, plugins: Entries, example: Any = None) -> Model:
    """Add plugins to any built model, in place, behind its modules or on its outputs.

    The model is the same object with the same Parameters under the same names; the
    plugins are further children of it, ``nonlocal_block_after_layer3`` or
    ``nonlocal_block_output2``, on its device, in its dtype and mode. A plugin that
    starts as the identity changes no output. Needs no toolbox.

    Args:
        model: Any ``nn.Module``, not yet wrapped for distributed training, compiled,
            traced or scripted.
        plugins: Entries of ``cfg``, one of two places, and perhaps ``in_channels``, the
            channels there. The places: ``after``, the path of a module that is called
            once, such as ``'layer3'``, or a pattern of several, such as
            ``'layer*.*.conv'``; or ``output``, the index of a map in the tuple or list
            that the model returns, or in the values of the dict, in its order.
            A model that returns one tensor has ``output=0``. ``in_branch=True`` refuses
            a place that isn't in a residual branch. Entries of one place run in the
            order written; a second call adds to the first one's.
        example: What the model takes, a tensor or a tuple of positional inputs, to run
            it once, in evaluation mode and without a trace. Only where all entries say
            ``in_channels`` it may be left out; then nothing checks that a map is there,
            or that a module is called once.

    Returns:
        The model.

    Raises:
        ConfigError: For an entry that can't be placed; the model is then as it was.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))
        >>> entry = dict(cfg=dict(type='nlse_mm.NonLocal2d'), after='1')
        >>> model = add_plugins(model, [entry], example=torch.rand(1, 3, 16, 24))
        >>> model.nonlocal_block_after_1.in_channels, len(model)
        (8, 3)
    """
    if plugins is None:
        raise ConfigError("plugins=None is not a list of plugin entries")
    entries = parse_entries(plugins, ModelEntry)
    run = None if example is None else partial(DryRun, model, example=example)
    # Of no model but MMEngine's before its init_weights will anybody do it later.
    initialised = not isinstance(model, BaseModule) or model.is_init
    initialises = hasattr(model, "init_weights")
    for plugin in place_in_model(model, entries, run):
        if initialised and isinstance(plugin, BaseModule):
            plugin.init_weights()
    if entries and not initialises:
        # The plugins' weights are the model's from here on, perhaps loaded ones: a
        # model around it doesn't initialise them, as it doesn't the others.
        vars(model)["is_init"] = True
    return model
