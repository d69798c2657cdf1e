"""ResNets whose blocks have squeeze and excitation, built from the toolbox's own."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from nlse_mm.registry import MODELS

from .mixin import mix_in
from .plugged_trunk import build_plugin, place_plugins
from .published_weights import PublishedWeights
from .residual_block import add_plugin, channels_at, number_of_convolutions
from .toolbox import backbone_class

Lines = Sequence[dict[str, Any]]

# The SENet paper's names of its five integrations (figure 5, and SE-3x3 in table 15).
SE_POSITIONS = {
    "standard": "after_conv3",
    "pre": "before_conv1",
    "post": "after_block",
    "identity": "on_identity",
    "3x3": "after_conv2",
}


@MODELS.register_module()
def SEResNet(  # noqa: N802
    *,
    reduction: int = 16,
    se_position: str = "standard",
    pool_ceil_mode: bool = False,
    plugins: Lines | None = None,
    **kwargs: Any,
) -> nn.Module:
    """``ResNet`` of the active toolbox with an SE layer in every block.

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_. The SE layers
    belong to the trunk: ``layer1.0.se_layer`` freezes with stage 1. Parameters have the
    names they have in MMPretrain's ``SEResNet``. With ``style='caffe'`` and
    ``pool_ceil_mode=True`` it is the network whose weights the paper's authors
    published.

    Args:
        reduction: The channels of a block over those inside its SE layer.
        se_position: Where the layer is; the paper's five integrations:
            ``standard``, at the end of the branch, before the addition;
            ``pre``, on the branch's input; ``post``, after the addition and its ReLU;
            ``identity``, on the shortcut, after its projection; ``3x3``, after the 3x3
            convolution of a bottleneck.
        pool_ceil_mode: Let the stem's max-pooling round sizes up without padding, as
            Caffe does, in place of padding by one pixel.
        plugins: Lines as in :func:`~nlse_mm.backbones.resnet.ResNet`; at a place that
            has an SE layer they run after it.
        kwargs: Every argument of the toolbox's ``ResNet``.

    Raises:
        ValueError: For an unknown ``se_position``, a ``reduction`` that is no integer
            or above the channels, or a ``pool_ceil_mode`` that is no bool.

    Example:
        >>> from nlse_mm.backbones import SEResNet
        >>> trunk = SEResNet(depth=50, frozen_stages=1)
        >>> trunk.layer1[0].se_layer.conv1.conv.weight.requires_grad
        False
    """
    trunk = backbone_class("ResNet")(**kwargs)
    return finish(trunk, reduction, se_position, pool_ceil_mode, plugins)


@MODELS.register_module()
def SEResNeXt(  # noqa: N802
    *,
    groups: int = 32,
    base_width: int = 4,
    reduction: int = 16,
    se_position: str = "standard",
    pool_ceil_mode: bool = False,
    plugins: Lines | None = None,
    **kwargs: Any,
) -> nn.Module:
    """``ResNeXt`` of the active toolbox with an SE layer in every block.

    As :func:`SEResNet`, over `Aggregated Residual Transformations
    <https://arxiv.org/abs/1611.05431>`_, depths 50, 101 and 152.

    Args:
        groups: Groups of the 3x3 convolutions.
        base_width: Channels of a group in the first stage.
        reduction: See :func:`SEResNet`, as for the rest.
        se_position: Where in a block the layer is.
        pool_ceil_mode: Whether the stem's pooling rounds sizes up without padding.
        plugins: Lines to place on top.
        kwargs: Every argument of the toolbox's ``ResNeXt``.

    Raises:
        ValueError: As :func:`SEResNet`.
    """
    trunk = backbone_class("ResNeXt")(groups=groups, base_width=base_width, **kwargs)
    return finish(trunk, reduction, se_position, pool_ceil_mode, plugins)


def finish(
    trunk: nn.Module,
    reduction: int,
    se_position: str,
    pool_ceil_mode: bool,
    plugins: Lines | None,
) -> nn.Module:
    """Add to a stock trunk what makes it an SE trunk, and then the plugin lines."""
    if not isinstance(pool_ceil_mode, bool):
        raise ValueError(f"pool_ceil_mode={pool_ceil_mode!r} is not True or False")
    for name in trunk.res_layers:
        for block in getattr(trunk, name):
            _add_se_layer(block, reduction, se_position)
    if pool_ceil_mode:
        trunk.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    trunk.se_position = se_position
    mix_in(trunk, PublishedWeights)
    trunk._freeze_stages()  # the constructor did, before the SE layers were there
    place_plugins(trunk, plugins or ())
    return trunk


def _add_se_layer(block: nn.Module, reduction: int, se_position: str) -> None:
    if se_position not in tuple(SE_POSITIONS):  # a list has no hash
        raise ValueError(
            f"se_position={se_position!r} is not one of {tuple(SE_POSITIONS)}"
        )
    position = SE_POSITIONS[se_position]
    if number_of_convolutions(block) == 2:
        if se_position == "3x3":
            raise ValueError(
                "se_position='3x3' is after a bottleneck's 3x3 convolution; depths 18 "
                "and 34 have none, and take 'standard', 'pre', 'post' or 'identity'"
            )
        position = position.replace("conv3", "conv2")
    cfg = dict(type="nlse_mm.SELayer", reduction=reduction)
    channels = channels_at(block, position)
    name, layer = build_plugin(cfg, channels, "reduction")
    name = add_plugin(block, position, name, layer)
    block.trunk_names.append(name)
