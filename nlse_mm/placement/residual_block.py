"""A residual block that runs plugins at six positions.

before_conv1    the branch's input; the shortcut keeps the unchanged one
after_conv1     after the first convolution, its norm and its ReLU
after_conv2     likewise; in a BasicBlock, after the last norm, before the addition
after_conv3     after the last norm of a Bottleneck, before the addition
on_identity     the shortcut, after the projection where there is one
after_block     after the addition and the last ReLU
"""

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from nlse_mm.ops.tracing import is_hooked, is_recording

from .block_parts import BlockParts, parts_of
from .mixin import mix_in
from .plugin import unique_name


class PluggedBlock(nn.Module):
    """Run plugins in a residual block, into which this is mixed, ResNeXt's as well.

    ``parts`` names what the toolbox's own block runs, so that nothing of it gets lost.
    ``plugin_names`` maps each position to the names of its plugins, children of this
    block, in the order in which they run. Those in ``own_names`` are the backbone's
    own, such as SE-ResNet's SE layers: they freeze and are initialised with it.
    """

    plugin_names: dict[str, list[str]]
    own_names: list[str]
    parts: BlockParts
    # What the toolboxes' ``BasicBlock`` and ``Bottleneck`` have.
    relu: nn.Module
    downsample: nn.Module | None
    with_cp: bool = False  # MMAction2's 2D BasicBlock has none

    def forward(self, x: Tensor) -> Tensor:
        """Run the block of He et al. (arXiv 1512.03385), figure 5, with its plugins."""
        if self.with_cp and x.requires_grad:
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        parts = self.parts
        last = len(parts.convs)
        out = self._run_plugins("before_conv1", x)  # (N, C, H, W) or (N, C, T, H, W)
        # By position: PyTorch 2.1 does not compile start=1.
        for i, names in enumerate(parts.convs, 1):
            out = self._run(names, out)
            if i < last:
                out = self._run_plugins(f"after_conv{i}", out)
        # Now (N, C', H', W'): a stage's first block widens the map and may halve it.
        identity = x if self.downsample is None else self.downsample(x)
        identity = self._run_plugins("on_identity", identity)
        fused = self._fused_addition(out)
        if fused is not None:
            out = fused(out, identity)
        else:
            out = self._run_plugins(f"after_conv{last}", out)
            out = self._run(parts.before_addition, out)
            # Not in place: a plugin may need what it returned for its backward pass.
            out = self._run(parts.after_addition, out + identity)
        return self._run_plugins("after_block", out)

    def _fused_addition(self, out: Tensor) -> Callable[..., Tensor] | None:
        """Return the plugin's own ``relu(plugin(x) + identity)``, which overwrites x.

        None unless it stands alone between the norm and the addition, and the result is
        the same: no backward pass needs what it overwrites, the output of the norm, or
        of the convolution where the norm has been folded into that; there is no hook on
        those, or on what it skips, the plugin and the ReLU, and the model isn't
        recorded.
        """
        parts = self.parts
        names = self.plugin_names.get(f"after_conv{len(parts.convs)}", ())
        if len(names) != 1 or type(self.relu) is not nn.ReLU or is_recording(out):
            return None
        dropped = [getattr(self, name) for name in parts.before_addition]
        is_dropped = any(type(module) is not nn.Identity for module in dropped)
        if is_dropped or parts.after_addition != ("relu",):
            return None
        plugin = getattr(self, names[0])
        modules = [getattr(self, name) for name in parts.convs[-1]]
        # The norms whose backward pass reads their input, not what they returned.
        known = isinstance(modules[-1], (_NormBase, nn.GroupNorm, nn.Identity))
        if not known or is_hooked(plugin, *modules, *dropped, self.relu):
            return None
        return getattr(plugin, "excite_add_relu", None)

    def _run(self, names: Sequence[str], x: Tensor) -> Tensor:
        for name in names:
            x = getattr(self, name)(x)
        return x

    def _run_plugins(self, position: str, x: Tensor) -> Tensor:
        return self._run(self.plugin_names.get(position, ()), x)

    def plugin_modules(self) -> list[nn.Module]:
        """Return this block's plugins, but for those that belong to the backbone."""
        return [
            getattr(self, name)
            for names in self.plugin_names.values()
            for name in names
            if name not in self.own_names
        ]


def stages_of(backbone: nn.Module) -> dict[str, nn.Sequential]:
    """Return the stages of a toolbox's ResNet, res2 first, by their names."""
    names = cast("list[str]", backbone.res_layers)
    return {name: getattr(backbone, name) for name in names}


def number_of_convolutions(block: nn.Module) -> int:
    """Return 2 for a BasicBlock, 3 for a Bottleneck."""
    return len(parts_of(block).convs)


def positions_of(block: nn.Module) -> tuple[str, ...]:
    """Return the positions that this kind of block has."""
    convs = (f"after_conv{i + 1}" for i in range(number_of_convolutions(block)))
    return ("before_conv1", *convs, "on_identity", "after_block")


def channels_at(block: nn.Module, position: str) -> int:
    """Return the channels of what a plugin at ``position`` is given."""
    if position == "before_conv1":
        return cast("nn.Conv2d", block.conv1).in_channels
    # What is added has the shape of what it is added to.
    if position in ("on_identity", "after_block"):
        position = f"after_conv{number_of_convolutions(block)}"
    return getattr(block, position.removeprefix("after_")).out_channels


def add_plugin(block: nn.Module, position: str, name: str, plugin: nn.Module) -> str:
    """Make ``plugin`` a child of ``block``, to run at ``position``, last so far there.

    Returns:
        The child's name: ``name`` as the toolbox's checkpoints have it, or with ``_2``
        and so on where that is taken.
    """
    if not isinstance(block, PluggedBlock):
        parts = parts_of(block)
        block = mix_in(block, PluggedBlock)
        block.parts = parts
        block.plugin_names = {}
        block.own_names = []
    unique = unique_name(block, block.parts.name_of(name))
    block.add_module(unique, plugin)
    block.plugin_names.setdefault(position, []).append(unique)
    return unique
