"""Build ResNets whose blocks have squeeze and excitation from the toolbox's own."""

from typing import Any, Literal, cast

from torch import nn

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.placement.entries import Entries
from nlse_mm.placement.into_blocks import place_in_blocks
from nlse_mm.placement.mixin import mix_in
from nlse_mm.placement.plugin import build_plugin
from nlse_mm.placement.residual_block import (
    PluggedBlock,
    add_plugin,
    channels_at,
    number_of_convolutions,
    stages_of,
)
from nlse_mm.registry import MODELS

from .factory import build_backbone, compared_to, factory
from .published_weights import PublishedWeights

# The SENet paper's names of its five integrations (figure 5, and SE-3x3 in table 15).
SE_POSITIONS = {
    "standard": "after_conv3",
    "pre": "before_conv1",
    "post": "after_block",
    "identity": "on_identity",
    "3x3": "after_conv2",
}

Position = Literal["standard", "pre", "post", "identity", "3x3"]
SE_ARGUMENTS = ("reduction", "se_position")
# PublishedWeights checks this one.
ITSELF = ("init_cfg",)


@MODELS.register_module()
@compared_to("nlse_mm.ResNet", *SE_ARGUMENTS, "pool_ceil_mode")
@factory
@checked(itself=ITSELF)
def SEResNet(  # noqa: N802
    depth: int,
    *,
    reduction: int = 16,
    se_position: Position = "standard",
    pool_ceil_mode: bool = False,
    plugins: Entries | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build ``ResNet`` of the active toolbox with an SE layer in every block.

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_. The SE layers
    belong to the backbone: ``layer1.0.se_layer`` freezes with stage 1. Parameters have
    the names they have in MMPretrain's ``SEResNet``. With ``style='caffe'`` and
    ``pool_ceil_mode=True`` it is the network whose weights the paper's authors
    published.

    Args:
        depth: 18, 34, 50, 101 or 152.
        reduction: The channels of a block over those inside its SE layer.
        se_position: Where the layer is; the paper's five integrations:
            ``standard``, at the end of the branch, before the addition;
            ``pre``, on the branch's input; ``post``, after the addition and its ReLU;
            ``identity``, on the shortcut, after its projection; ``3x3``, after the 3x3
            convolution of a bottleneck.
        pool_ceil_mode: Let the stem's max-pooling round sizes up without padding, as
            Caffe does, in place of padding by one pixel.
        plugins: Entries as in :func:`~nlse_mm.backbones.resnet.ResNet`; at a place
            that has an SE layer they run after it.
        kwargs: Every argument of the toolbox's ``ResNet``.

    Raises:
        ArgumentError: For a value of a wrong type, and for what the toolbox's class
            refuses.
        ConfigError: For a ``reduction`` below 1 or above the channels, or a plugin
            entry that can't be placed.

    Example:
        >>> from nlse_mm.backbones import SEResNet
        >>> backbone = SEResNet(depth=50, frozen_stages=1)
        >>> backbone.layer1[0].se_layer.conv1.conv.weight.requires_grad
        False
    """
    given = dict(kwargs, depth=depth)
    backbone = build_backbone("SEResNet", "ResNet", plugins, (), given)
    return finish(backbone, reduction, se_position, pool_ceil_mode, plugins)


@MODELS.register_module()
@compared_to(
    "nlse_mm.ResNeXt", *SE_ARGUMENTS, "pool_ceil_mode", groups=32, base_width=4
)
@factory
@checked(itself=ITSELF)
def SEResNeXt(  # noqa: N802
    depth: int,
    *,
    groups: int = 32,
    base_width: int = 4,
    reduction: int = 16,
    se_position: Position = "standard",
    pool_ceil_mode: bool = False,
    plugins: Entries | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build ``ResNeXt`` of the active toolbox with an SE layer in every block.

    As :func:`SEResNet`, over `Aggregated Residual Transformations
    <https://arxiv.org/abs/1611.05431>`_, depths 50, 101 and 152.

    Args:
        depth: 50, 101 or 152.
        groups: Groups of the 3x3 convolutions.
        base_width: Channels of a group in the first stage.
        reduction: See :func:`SEResNet`, as for the rest.
        se_position: Where in a block the layer is.
        pool_ceil_mode: Whether the stem's pooling rounds sizes up without padding.
        plugins: Entries as in :func:`SEResNet`.
        kwargs: Every argument of the toolbox's ``ResNeXt``.

    Raises:
        ConfigError: As :func:`SEResNet`.
    """
    given = dict(kwargs, depth=depth, groups=groups, base_width=base_width)
    backbone = build_backbone("SEResNeXt", "ResNeXt", plugins, (), given)
    return finish(backbone, reduction, se_position, pool_ceil_mode, plugins)


def finish(
    backbone: nn.Module,
    reduction: int,
    se_position: Position,
    pool_ceil_mode: bool,
    plugins: Entries | None,
) -> nn.Module:
    """Add to a stock backbone its SE layers, and then the plugin entries."""
    for stage in stages_of(backbone).values():
        for block in stage:
            _add_se_layer(block, reduction, se_position)
    set_pooling(backbone, pool_ceil_mode)
    finished = mix_in(backbone, PublishedWeights)
    finished.se_position = se_position
    finished._freeze_stages()  # the constructor did, before the SE layers were there
    place_in_blocks(finished, plugins)
    return finished


def set_pooling(backbone: nn.Module, ceil_mode: bool) -> None:
    """Let the stem pool as Caffe does where ``ceil_mode`` says so."""
    if ceil_mode:
        backbone.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


def _add_se_layer(block: nn.Module, reduction: int, se_position: Position) -> None:
    position = SE_POSITIONS[se_position]
    if number_of_convolutions(block) == 2:
        if se_position == "3x3":
            raise ConfigError(
                "se_position='3x3' is after a bottleneck's 3x3 convolution; depths 18 "
                "and 34 have none, and take 'standard', 'pre', 'post' or 'identity'"
            )
        position = position.replace("conv3", "conv2")  # the last of a BasicBlock
    cfg = dict(type="nlse_mm.SELayer", reduction=reduction)
    channels = channels_at(block, position)
    name, layer = build_plugin(cfg, channels, "reduction")
    name = add_plugin(block, position, name, layer)
    cast("PluggedBlock", block).own_names.append(name)
