"""Build any backbone or neck with plugins on its maps, or after its modules."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from torch import nn

from nlse_mm.arguments import CONFIGS, build_stock, checked
from nlse_mm.errors import ConfigError
from nlse_mm.placement.dry_run import DryRun
from nlse_mm.placement.entries import Entries, ModelEntry, parse_entries
from nlse_mm.placement.into_model import place_in_model
from nlse_mm.placement.mixin import return_itself
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import backbone_class

from .factory import factory

# What models call the channels of their input; the last is Feature2Pyramid's.
IN_CHANNELS = ("in_channels", "in_chans", "embed_dim")


@MODELS.register_module()
@factory
@checked(itself=("base", *CONFIGS))
def WithPlugins(*, base: str, plugins: Entries, **kwargs: Any) -> nn.Module:  # noqa: N802
    """Build any backbone or neck, with plugins on its outputs or after its modules.

    The result is an instance of the base's class, and its parameters keep their names.
    A plugin is a child of the model, named by its place: ``nonlocal_block_output2``, or
    ``nonlocal_block_after_layer3_4``; a second one of its type there ends in ``_2``.
    Its ``in_channels`` is found by a trial run on a small input.
    ``nlse_mm.add_plugins`` takes the same entries for a model that is built.

    Args:
        base: The registered name, of the active toolbox (``'SwinTransformer'``) or with
            the scope of another one before a dot.
        plugins: Entries of ``cfg`` and one of two places: ``output``, the index of a
            feature map among those that the base returns; or ``after``, the path of a
            module, such as ``'layer3.4'``, on whose output the plugin then runs, or a
            pattern of several, such as ``'layer*.*.conv'``. ``in_channels`` where no
            trial can find them; ``in_branch=True`` to refuse a place that isn't in a
            residual branch. Entries of one place run in the order written.
        kwargs: The base's arguments.

    Raises:
        UnknownNameError: If there is no such base.
        ConfigError: If ``base`` is not a name, or ``plugins`` is not a list; for an
            entry that can't be placed: a path that doesn't exist, that the model
            doesn't run or runs more than once, a norm layer or a convolution (fusing
            and SyncBN conversion replace those), an output that doesn't exist or isn't
            a map.

    Example:
        >>> from nlse_mm.backbones import WithPlugins
        >>> backbone = WithPlugins(base='SwinTransformer', plugins=[
        ...     dict(cfg=dict(type='nlse_mm.NonLocal2d'), output=2)])
        >>> type(backbone).__name__, backbone.nonlocal_block_output2.in_channels
        ('PluggedSwinTransformer', 384)
    """
    if not isinstance(base, str):
        raise ConfigError(f"base={base!r} is not a name, such as 'SwinTransformer'")
    if plugins is None:
        raise ConfigError(
            f"plugins=None is not a list of plugin entries; without any write {base!r} "
            "itself"
        )
    entries = parse_entries(plugins, ModelEntry)
    # A base's arguments may mean anything: only its own signature defines what.
    name = f"nlse_mm.WithPlugins(base={base!r})"
    model = build_stock(name, backbone_class(base), (), kwargs, hints={})
    in_channels = next((kwargs[name] for name in IN_CHANNELS if name in kwargs), None)
    if not entries:
        return_itself(model)
        return model
    size = _pair(kwargs.get("img_size"))
    run = partial(DryRun, model, in_channels=in_channels, img_size=size)
    place_in_model(model, entries, run if any(e.needs_run for e in entries) else None)
    return model


def _pair(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    if isinstance(size, int):
        return size, size
    return cast("tuple[int, int]", tuple(size)[:2])
