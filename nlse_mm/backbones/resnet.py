"""The active toolbox's ResNets, with plugins block by block."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from nlse_mm.registry import MODELS

from .plugged_trunk import place_plugins
from .toolbox import active_toolbox, backbone_class

Lines = Sequence[dict[str, Any]]


@MODELS.register_module()
def ResNet(*, plugins: Lines | None = None, **kwargs: Any) -> nn.Module:  # noqa: N802
    """``ResNet`` of the active toolbox, with plugin lines.

    `Deep Residual Learning <https://arxiv.org/abs/1512.03385>`_. The result is an
    instance of the toolbox's class; parameters keep their names, and without plugins
    nothing differs but that ``train`` and ``eval`` return it.

    Args:
        plugins: Lines of ``cfg``, ``position``, and optionally ``stages`` (a bool a
            stage) and ``blocks`` (indices into each chosen stage).
        kwargs: Every argument of the toolbox's class.

    Raises:
        ValueError: For a plugin line that can't be placed.

    Example:
        >>> from nlse_mm.backbones import ResNet
        >>> trunk = ResNet(depth=50, plugins=[dict(
        ...     cfg=dict(type='nlse_mm.NonLocal2d', sub_sample=True),
        ...     stages=(False, False, True, False),
        ...     blocks=(-2,),
        ...     position='after_block')])
        >>> type(trunk.layer3[4].nonlocal_block).__name__
        'NonLocal2d'
    """
    return _build("ResNet", plugins, kwargs)


@MODELS.register_module()
def ResNeXt(*, plugins: Lines | None = None, **kwargs: Any) -> nn.Module:  # noqa: N802
    """``ResNeXt`` of the active toolbox, with plugin lines as in :func:`ResNet`.

    `Aggregated Residual Transformations <https://arxiv.org/abs/1611.05431>`_.
    """
    return _build("ResNeXt", plugins, kwargs)


@MODELS.register_module()
def ResNetV1d(*, plugins: Lines | None = None, **kwargs: Any) -> nn.Module:  # noqa: N802
    """``ResNetV1d`` of the active toolbox, with plugin lines as in :func:`ResNet`.

    `Bag of Tricks <https://arxiv.org/abs/1812.01187>`_, figure 2d and a deep stem.
    """
    return _build("ResNetV1d", plugins, kwargs)


@MODELS.register_module()
def ResNetV1c(*, plugins: Lines | None = None, **kwargs: Any) -> nn.Module:  # noqa: N802
    """``ResNetV1c`` of MMSegmentation, with plugin lines as in :func:`ResNet`.

    `Bag of Tricks <https://arxiv.org/abs/1812.01187>`_, figure 2c, a deep stem.

    Raises:
        KeyError: In MMDetection, which has no such class but has the argument.
    """
    if active_toolbox() == "mmdet":
        raise KeyError(
            "type='nlse_mm.ResNetV1c' is MMSegmentation's; in MMDetection the same "
            "trunk is type='nlse_mm.ResNet' with deep_stem=True"
        )
    return _build("ResNetV1c", plugins, kwargs)


def _build(name: str, plugins: Lines | None, kwargs: dict[str, Any]) -> nn.Module:
    trunk = backbone_class(name)(**kwargs)
    place_plugins(trunk, plugins or ())
    return trunk
