"""Build MMAction2's 3D ResNets, with plugins block by block.

Shapes: N batch, C channels, T frames, H height, W width.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from nlse_mm.arguments import check_names, checked, stock_parameters
from nlse_mm.placement.entries import Entries
from nlse_mm.placement.into_blocks import place_in_blocks
from nlse_mm.placement.plugged_backbone import PluggedBackbone
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import VIDEO, backbone_class

from .factory import build_backbone, factory


@MODELS.register_module()
@factory
@checked
def ResNet3d(  # noqa: N802
    depth: int = 50, *, plugins: Entries | None = None, **kwargs: Any
) -> nn.Module:
    """Build MMAction2's ``ResNet3d``, with plugin entries as in 2D.

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, section 4. With
    ``inflate=0`` and ``conv1_kernel=(1, 7, 7)`` no convolution sees more than a frame:
    the paper's C2D (table 1), but for its temporal strides, which are this class's
    ``conv1_stride_t``, ``pool1_stride_t`` and ``with_pool2``. Else it is I3D. Maps are
    (N, C, T, H, W), and plugins are those that take them, such as
    ``nlse_mm.NonLocal3d``. A non-local block is the child ``non_local_block`` of its
    residual block, as in MMAction2's checkpoints, which load.

    Args:
        depth: 18, 34, 50, 101 or 152.
        plugins: Entries as in :func:`~nlse_mm.backbones.resnet.ResNet`.
        kwargs: Every argument of MMAction2's class.

    Raises:
        MissingPackageError: If MMAction2 isn't installed.
        ArgumentError: For what MMAction2's class refuses.
        ConfigError: For a plugin entry that can't be placed, or a plugin that doesn't
            take volumes.

    Example::

        backbone = dict(
            type='nlse_mm.ResNet3d',
            depth=50,
            inflate=0,
            conv1_kernel=(1, 7, 7),
            plugins=[dict(
                cfg=dict(type='nlse_mm.NonLocal3d', sub_sample=True),
                stages=(False, True, True, False),
                blocks=(1, 3),
                position='after_block')])
    """
    return _build("ResNet3d", plugins, dict(kwargs, depth=depth))


@MODELS.register_module()
@factory
@checked
def ResNet3dSlowOnly(  # noqa: N802
    depth: int = 50, *, plugins: Entries | None = None, **kwargs: Any
) -> nn.Module:
    """Build MMAction2's ``ResNet3dSlowOnly``, with entries as in :func:`ResNet3d`.

    The slow pathway of `SlowFast Networks <https://arxiv.org/abs/1812.03982>`_ alone.
    """
    return _build("ResNet3dSlowOnly", plugins, dict(kwargs, depth=depth))


class _PluggedBackbone3d(PluggedBackbone):
    pretrained: str | None

    def loads_weights(self) -> bool:
        # MMAction2 loads what this names, and never reads init_cfg.
        return isinstance(self.pretrained, str)


def _build(name: str, plugins: Entries | None, kwargs: dict[str, Any]) -> nn.Module:
    cls = f"{VIDEO.scope}.{name}"
    # What it doesn't know it hands to its blocks, whose errors name other things.
    allowed = stock_parameters(backbone_class(cls))
    check_names(f"nlse_mm.{name}", kwargs, allowed)
    given = {**kwargs, **_spelt_out(kwargs)}
    backbone = build_backbone(name, cls, plugins, (), given)
    place_in_blocks(backbone, plugins, _PluggedBackbone3d)
    return backbone


def _spelt_out(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that MMAction2 takes as one number too, as sequences."""
    lengths = dict.fromkeys(("inflate", "non_local"), kwargs.get("num_stages", 4))
    lengths["conv1_kernel"] = 3
    return {
        key: (kwargs[key],) * length
        for key, length in lengths.items()
        if type(kwargs.get(key)) is int and type(length) is int
    }
