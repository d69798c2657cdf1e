"""A residual block that runs plugins at six positions.

before_conv1    the branch's input; the shortcut keeps the unchanged one
after_conv1     after the first convolution, its norm and its ReLU
after_conv2     likewise; in a BasicBlock, after the last norm, before the addition
after_conv3     after the last norm of a Bottleneck, before the addition
on_identity     the shortcut, after the projection where there is one
after_block     after the addition and the last ReLU
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from nlse_mm.ops.tracing import is_hooked, is_recording

from .mixin import mix_in
from .plugin import unique_name


class PluggedBlock:
    """Mixed into the toolboxes' ``BasicBlock`` and ``Bottleneck``, ResNeXt's as well.

    ``plugin_names`` maps each position to the names of its plugins, children of this
    block, in the order in which they run. Those in ``own_names`` are the backbone's
    own, as SE-ResNet's layers do: they freeze with it and are initialised with it.
    """

    plugin_names: dict[str, list[str]]
    own_names: list[str]

    def forward(self, x: Tensor) -> Tensor:
        """The block of He et al. (arXiv 1512.03385), figure 5, with its plugins."""
        if self.with_cp and x.requires_grad:
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        last = number_of_convolutions(self)
        out = self._run_plugins("before_conv1", x)
        for i in range(1, last + 1):
            out = getattr(self, f"norm{i}")(getattr(self, f"conv{i}")(out))
            if i < last:
                out = self._run_plugins(f"after_conv{i}", self.relu(out))
        identity = x if self.downsample is None else self.downsample(x)
        identity = self._run_plugins("on_identity", identity)
        fused = self._fused_addition(last, out)
        if fused is not None:
            out = fused(out, identity)
        else:
            out = self._run_plugins(f"after_conv{last}", out)
            # Not in place: a plugin may need what it returned for its backward pass.
            out = self.relu(out + identity)
        return self._run_plugins("after_block", out)

    def _fused_addition(self, last: int, out: Tensor) -> Callable[..., Tensor] | None:
        """The plugin's own ``relu(plugin(x) + identity)``, where it may overwrite x.

        That is where it stands alone between the norm and the addition, and nobody can
        tell: no backward pass needs what it overwrites, the output of the norm, or of
        the convolution where the norm has been folded into that; nobody has hooked
        those, or what it skips, the plugin and the ReLU, and nobody records the model.
        """
        names = self.plugin_names.get(f"after_conv{last}", ())
        if len(names) != 1 or type(self.relu) is not nn.ReLU or is_recording(out):
            return None
        plugin = getattr(self, names[0])
        conv, norm = getattr(self, f"conv{last}"), getattr(self, f"norm{last}")
        known = isinstance(norm, (_NormBase, nn.GroupNorm, nn.Identity))
        if not known or is_hooked(plugin, norm, conv, self.relu):
            return None
        return getattr(plugin, "excite_add_relu", None)

    def _run_plugins(self, position: str, x: Tensor) -> Tensor:
        for name in self.plugin_names.get(position, ()):
            x = getattr(self, name)(x)
        return x

    def plugin_modules(self) -> list[nn.Module]:
        """This block's plugins, but for those that belong to the backbone."""
        return [
            getattr(self, name)
            for names in self.plugin_names.values()
            for name in names
            if name not in self.own_names
        ]


def number_of_convolutions(block: nn.Module) -> int:
    """2 for a BasicBlock, 3 for a Bottleneck."""
    return 3 if hasattr(block, "conv3") else 2


def positions_of(block: nn.Module) -> tuple[str, ...]:
    """The positions that this kind of block has."""
    convs = (f"after_conv{i + 1}" for i in range(number_of_convolutions(block)))
    return ("before_conv1", *convs, "on_identity", "after_block")


def channels_at(block: nn.Module, position: str) -> int:
    """Channels of what a plugin at ``position`` is given."""
    if position == "before_conv1":
        return block.conv1.in_channels
    if position in ("on_identity", "after_block"):
        position = f"after_conv{number_of_convolutions(block)}"
    return getattr(block, position.removeprefix("after_")).out_channels


def add_plugin(block: nn.Module, position: str, name: str, plugin: nn.Module) -> str:
    """Make ``plugin`` a child of ``block``, to run at ``position``, last so far there.

    Returns:
        The child's name: ``name``, or ``name_2`` and so on where that is taken.
    """
    if not isinstance(block, PluggedBlock):
        mix_in(block, PluggedBlock)
        block.plugin_names = {}
        block.own_names = []
    unique = unique_name(block, name)
    block.add_module(unique, plugin)
    block.plugin_names.setdefault(position, []).append(unique)
    return unique
