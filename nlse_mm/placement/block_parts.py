"""Describe what a toolbox's residual block is made of, and so what running it means."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmcv.cnn import ConvModule
from torch import nn


@dataclass(frozen=True)
class BlockParts:
    """Name a residual block's modules in the order in which they run.

    Args:
        convs: For each convolution what runs there: itself, then its norm and its ReLU
            where these aren't inside of it.
        before_addition: What the branch ends with, such as stochastic depth.
        after_addition: The last ReLU, and what a toolbox runs after it.
        volumes: Whether it runs on (N, C, T, H, W) in place of (N, C, H, W).
        renamed: What the toolbox's own checkpoints call a plugin, by its name.
    """

    convs: tuple[tuple[str, ...], ...]
    before_addition: tuple[str, ...] = ()
    after_addition: tuple[str, ...] = ("relu",)
    volumes: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, name: str) -> str:
        """Return what to call a plugin of that name, its postfix included."""
        for ours, theirs in self.renamed.items():
            if name.startswith(ours):
                return theirs + name.removeprefix(ours)
        return name


def parts_of(block: nn.Module) -> BlockParts:
    """Return what a ``BasicBlock`` or ``Bottleneck`` of any toolbox is made of."""
    number = 3 if hasattr(block, "conv3") else 2
    if not isinstance(block.conv1, ConvModule):
        convs = [(f"conv{i}", f"norm{i}", "relu") for i in range(1, number)]
        # MMPretrain's blocks have stochastic depth.
        dropped = ("drop_path",) if hasattr(block, "drop_path") else ()
        return BlockParts((*convs, (f"conv{number}", f"norm{number}")), dropped)
    # MMAction2's: each convolution has its norm and its activation inside, and a
    # non-local block may follow the last ReLU.
    own = ("non_local_block",) if getattr(block, "non_local", False) else ()
    return BlockParts(
        tuple((f"conv{i}",) for i in range(1, number + 1)),
        after_addition=("relu", *own),
        volumes=any(p.dim() == 5 for p in block.parameters()),
        renamed={"nonlocal_block": "non_local_block"},
    )
