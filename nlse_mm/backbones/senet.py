"""Build SENet-154, the network with which the SENet authors won ILSVRC 2017."""

from typing import Any, Protocol, TypeVar, cast

from mmcv.cnn import build_norm_layer
from torch import nn

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.placement.entries import Entries
from nlse_mm.placement.into_blocks import place_in_blocks
from nlse_mm.placement.residual_block import stages_of
from nlse_mm.registry import MODELS

from .factory import build_backbone, compared_to, factory
from .se_resnet import ITSELF, SE_ARGUMENTS, Position, finish, set_pooling


def build_without_se(
    depth: int = 154,
    *,
    pool_ceil_mode: bool = False,
    plugins: Entries | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build SENet-154 without its SE layers, the baseline of what they cost."""
    backbone = _build(depth, plugins, kwargs)
    set_pooling(backbone, pool_ceil_mode)
    cast(
        "_Backbone", backbone
    )._freeze_stages()  # the constructor did, before layers were replaced
    place_in_blocks(backbone, plugins)
    return backbone


Conv = TypeVar("Conv", bound=nn.Module)


class _Backbone(Protocol):
    def _freeze_stages(self) -> None: ...


class _Bottleneck(Protocol):
    conv1: nn.Conv2d
    conv2: nn.Conv2d
    norm1_name: str
    norm_cfg: dict[str, Any]


@MODELS.register_module()
@compared_to(build_without_se, *SE_ARGUMENTS)
@factory
@checked(itself=ITSELF)
def SENet(  # noqa: N802
    depth: int = 154,
    *,
    reduction: int = 16,
    se_position: Position = "standard",
    pool_ceil_mode: bool = False,
    plugins: Entries | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build SENet-154: a 64x4d ResNeXt-152 with SE layers and three changes.

    `Squeeze-and-Excitation Networks <https://arxiv.org/abs/1709.01507>`_, appendix: the
    stem has three 3x3 convolutions, of 64, 64 and 128 channels; the first 1x1
    convolution of a bottleneck has half the channels; the projection of res3 to res5 is
    a 3x3 convolution of stride 2. Built from the active toolbox's ``ResNeXt``.

    Args:
        depth: 154, the only one there is.
        reduction: See :func:`~nlse_mm.backbones.se_resnet.SEResNet`, as for the rest.
        se_position: Where in a block the SE layer is.
        pool_ceil_mode: Whether the stem's pooling rounds sizes up without padding.
        plugins: Entries as in ``SEResNet``.
        kwargs: Every argument of the toolbox's ``ResNeXt`` but ``groups``,
            ``base_width``, ``deep_stem`` and ``stem_channels``, which are given.

    Raises:
        ConfigError: For another value of ``depth`` or of those four, or as
            ``SEResNet``.
    """
    backbone = _build(depth, plugins, kwargs)
    return finish(backbone, reduction, se_position, pool_ceil_mode, plugins)


def _build(depth: int, plugins: Entries | None, kwargs: dict[str, Any]) -> nn.Module:
    """Change the active toolbox's ``ResNeXt`` into SENet-154 without SE layers."""
    if depth != 154:
        raise ConfigError(
            f"depth={depth} is not 154, the only depth of SENet; what a _base_ config "
            "left here goes with _delete_=True"
        )
    given = dict(groups=64, base_width=4, deep_stem=True, stem_channels=128)
    for key, value in given.items():
        if kwargs.get(key, value) != value:
            raise ConfigError(f"{key}={kwargs[key]!r} is not {value}, as SENet has it")
    kwargs = {**kwargs, **given, "depth": 152}
    backbone = build_backbone("SENet", "ResNeXt", plugins, (), kwargs)
    for number, stage in enumerate(stages_of(backbone).values()):
        for block in stage:
            _halve_first_convolution(cast("_Bottleneck", block))
        if number > 0:
            _project_by_3x3(cast("nn.Sequential", stage[0].downsample))
    return backbone


def _halve_first_convolution(block: _Bottleneck) -> None:
    half = block.conv1.out_channels // 2
    block.conv1 = _rebuilt(block.conv1, out_channels=half)  # (N, half, H, W)
    block.conv2 = _rebuilt(block.conv2, in_channels=half)
    norm = build_norm_layer(block.norm_cfg, half, postfix=1)[1]
    setattr(block, block.norm1_name, norm)


def _project_by_3x3(projection: nn.Sequential) -> None:
    # With avg_down a pooling stands before the convolution, and a norm always after it.
    for i, layer in enumerate(projection):
        if hasattr(layer, "out_channels"):
            projection[i] = _rebuilt(layer, kernel_size=3, padding=1)


def _rebuilt(conv: Conv, **changes: int) -> Conv:
    """Return a convolution as ``conv``, deformable if that is, with ``changes``."""
    names = ["in_channels", "out_channels", "kernel_size", "stride", "padding"]
    names += ["dilation", "groups"] + ["deform_groups"] * hasattr(conv, "deform_groups")
    kwargs = {name: getattr(conv, name) for name in names}
    return type(conv)(**{**kwargs, **changes}, bias=False)
