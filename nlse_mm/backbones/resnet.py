"""Build the active toolbox's ResNets, with plugins block by block."""

from typing import Any

from torch import nn

from nlse_mm.arguments import checked, stock_parameters
from nlse_mm.placement.entries import Entries
from nlse_mm.placement.into_blocks import place_in_blocks
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import backbone_class

from .factory import build_backbone, factory


@MODELS.register_module()
@factory
@checked
def ResNet(  # noqa: N802
    depth: int, *args: Any, plugins: Entries | None = None, **kwargs: Any
) -> nn.Module:
    """Build ``ResNet`` of the active toolbox, with plugin entries.

    `Deep Residual Learning <https://arxiv.org/abs/1512.03385>`_. The result is an
    instance of the toolbox's class; parameters keep their names, and without plugins
    nothing differs but that ``train`` and ``eval`` return it.

    Args:
        depth: 18, 34, 50, 101 or 152.
        args: What the toolbox's class takes by position after ``depth``.
        plugins: Entries of ``cfg``, ``position``, and optionally ``stages`` (a bool per
            stage) and ``blocks`` (indices into each chosen stage).
        kwargs: Every argument of the toolbox's class.

    Raises:
        ArgumentError: For what the toolbox's class refuses.
        ConfigError: For a plugin entry that can't be placed.

    Example:
        >>> from nlse_mm.backbones import ResNet
        >>> backbone = ResNet(depth=50, plugins=[dict(
        ...     cfg=dict(type='nlse_mm.NonLocal2d', sub_sample=True),
        ...     stages=(False, False, True, False),
        ...     blocks=(-2,),
        ...     position='after_block')])
        >>> type(backbone.layer3[4].nonlocal_block).__name__
        'NonLocal2d'
    """
    names = [*stock_parameters(backbone_class("ResNet"))]
    # Given by position, they would go to the stock class, which has three positions;
    # MMAction2's takes none.
    place = names.index("plugins") - 1 if "plugins" in names else len(args)
    if plugins is None and len(args) > place:
        plugins, args = args[place], (*args[:place], None, *args[place + 1 :])
    return _build("ResNet", plugins, (depth, *args), kwargs)


@MODELS.register_module()
@factory
@checked
def ResNeXt(  # noqa: N802
    depth: int, *, plugins: Entries | None = None, **kwargs: Any
) -> nn.Module:
    """Build ``ResNeXt`` of the active toolbox, with entries as in :func:`ResNet`.

    `Aggregated Residual Transformations <https://arxiv.org/abs/1611.05431>`_.
    """
    return _build("ResNeXt", plugins, (), dict(kwargs, depth=depth))


@MODELS.register_module()
@factory
@checked
def ResNetV1d(  # noqa: N802
    depth: int, *, plugins: Entries | None = None, **kwargs: Any
) -> nn.Module:
    """Build ``ResNetV1d`` of the active toolbox, with entries as in :func:`ResNet`.

    `Bag of Tricks <https://arxiv.org/abs/1812.01187>`_, figure 2d and a deep stem.
    """
    return _build("ResNetV1d", plugins, (), dict(kwargs, depth=depth))


@MODELS.register_module()
@factory
@checked
def ResNetV1c(  # noqa: N802
    depth: int, *, plugins: Entries | None = None, **kwargs: Any
) -> nn.Module:
    """Build ``ResNetV1c`` of the active toolbox, with entries as in :func:`ResNet`.

    `Bag of Tricks <https://arxiv.org/abs/1812.01187>`_, figure 2c, a deep stem.

    Raises:
        UnknownNameError: In a toolbox that has no such class but has the argument.
    """
    return _build("ResNetV1c", plugins, (), dict(kwargs, depth=depth))


def _build(
    name: str, plugins: Entries | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> nn.Module:
    backbone = build_backbone(name, name, plugins, args, kwargs)
    place_in_blocks(backbone, plugins)
    return backbone
