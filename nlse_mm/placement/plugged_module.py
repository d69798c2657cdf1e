"""Run plugins on what a module of any model returns."""

from collections.abc import Callable
from inspect import ismethod
from typing import Any

import torch
from mmcv.cnn import is_norm
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .mixin import Mixin, mix_in

# Their code is made from the module as it was.
GENERATED = (torch.jit.ScriptModule, torch.fx.GraphModule)


class OwnForward(nn.Module):
    """Keep plugins running where the ``forward`` of an instance is replaced.

    Fusing does that: ``block.forward = block.forward_fuse``. Mixins that override
    ``forward`` derive from this class, which so comes after all of them.
    """

    # The method that stands in for the class's; None while none does.
    own_forward: Callable[..., Any] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; another method of the module as ``forward`` goes inside."""
        # What wraps our forward calls it, plugins and all, and is set as it is.
        is_own = ismethod(value) and value.__self__ is self
        if name == "forward" and is_own and value.__func__ is not type(self).forward:
            name = "own_forward"
        super().__setattr__(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module without its plugins."""
        if self.own_forward is not None:
            return self.own_forward(*args, **kwargs)
        return super().forward(*args, **kwargs)


class PluggedModule(OwnForward):
    """Run plugins on what a module returns; mixed into the one at an ``after`` path.

    They are children of the model, not of this module, which may be an
    ``nn.Sequential`` that would run them as its members too.
    """

    # A tuple, in which PyTorch finds no children. With each plugin, of how many
    # sequences around this module it takes the output: 0 if of the module itself.
    plugins_after: tuple[tuple[int, nn.Module], ...]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run the module, then the plugins, inner places first."""
        out = super().forward(*args, **kwargs)
        for _, plugin in self.plugins_after:
            out = plugin(out)
        return out


def mix_in_forward(module: nn.Module, mixin: type[Mixin]) -> Mixin:
    """Mix in a class that overrides ``forward``, an instance's own one included."""
    own = module.__dict__.pop("forward", None)
    mixed = mix_in(module, mixin)
    if own is not None:
        mixed.__dict__["own_forward"] = own
    return mixed


def append_plugin(model: nn.Module, path: str, plugin: nn.Module) -> None:
    """Run a plugin on what the module at ``path`` returns, after those there."""
    module, level = model.get_submodule(path), 0
    while (last := _last_block(model, module)) is not None:
        module, level = last, level + 1
    if not isinstance(module, PluggedModule):
        module = mix_in_forward(module, PluggedModule)
        module.plugins_after = ()
    after = (*module.plugins_after, (level, plugin))
    module.plugins_after = tuple(sorted(after, key=lambda pair: pair[0]))


def replace_plugin(model: nn.Module, plugin: nn.Module, by: nn.Module | None) -> None:
    """Run another module, or none, wherever in ``model`` a plugin is run."""
    for module in model.modules():
        if isinstance(module, PluggedModule):
            after = ((n, by if m is plugin else m) for n, m in module.plugins_after)
            module.plugins_after = tuple((n, m) for n, m in after if m is not None)


def _last_block(model: nn.Module, module: nn.Module) -> nn.Module | None:
    """Return the last block of a sequence, whose output is also the sequence's.

    Gradient checkpointing and feature extraction run the members of a sequence and
    not the sequence, so that a plugin on itself would be lost.
    """
    if type(module).forward is not nn.Sequential.forward or "forward" in vars(module):
        return None
    last = next(reversed(module._modules.values()), None)
    # Not an activation, which may be shared, nor what is replaced.
    if last is None or not last._modules or is_replaced(last):
        return None
    if isinstance(last, GENERATED):
        return None
    everywhere = model.named_modules(remove_duplicate=False)
    return last if sum(m is last for _, m in everywhere) == 1 else None


def is_replaced(module: nn.Module) -> bool:
    """Return whether it is a norm layer or a convolution, a deformable one as well."""
    # By its class too: weight_norm makes the weight anew from other parameters.
    weight = module._parameters.get("weight")
    is_conv = isinstance(module, _ConvNd) or (weight is not None and weight.dim() > 2)
    return is_norm(module) or is_conv
