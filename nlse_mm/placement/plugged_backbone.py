"""Keep the plugins of a backbone trainable, and initialised as they ask for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import nn

from .residual_block import PluggedBlock

Backbone = TypeVar("Backbone", bound="PluggedBackbone")


class PluggedBackbone(nn.Module):
    """Train and initialise the plugins of a backbone, into which this is mixed.

    The backbone freezes stages and puts norm layers in eval mode; its plugins are new
    layers that have to learn, and stay out of both. It initialises everything below it;
    each plugin's own ``init_weights`` has the last word.
    """

    def plugin_modules(self) -> list[nn.Module]:
        """Return all the plugins, in the order of the blocks."""
        return [
            plugin
            for module in self.modules()
            if isinstance(module, PluggedBlock)
            for plugin in module.plugin_modules()
        ]

    def init_weights(self, *args: Any, **kwargs: Any) -> None:
        """Initialise the backbone, then the plugins, unless weights were loaded.

        MMEngine's calls the plugins' too, but some backbones (PIDNet) have one of their
        own, which doesn't, and which starts every norm layer at one. A plain module has
        none.
        """
        first_time = not getattr(self, "is_init", False)
        stock: Any = super()
        if hasattr(stock, "init_weights"):
            stock.init_weights(*args, **kwargs)
        if first_time and not self.loads_weights():
            for plugin in self.plugin_modules():
                initialise = getattr(plugin, "init_weights", None)
                if initialise is not None:
                    initialise()

    def loads_weights(self) -> bool:
        """Return whether the backbone's own ``init_weights`` loads any."""
        init_cfg = getattr(self, "init_cfg", None)
        configs = init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]
        return any(c.get("type") == "Pretrained" for c in configs)

    def train(self: Backbone, mode: bool = True) -> Backbone:
        """Set the backbone's mode, and the plugins' in frozen stages too."""
        # The toolboxes' own freezes stages again, each time.
        with _trainable_as_before(self.plugin_modules()):
            super().train(mode)
        for plugin in self.plugin_modules():
            plugin.train(mode)
        return self

    def _freeze_stages(self) -> None:
        with _trainable_as_before(self.plugin_modules()):
            stock: Any = super()
            stock._freeze_stages()


@contextmanager
def _trainable_as_before(modules: Sequence[nn.Module]) -> Iterator[None]:
    wanted = [(p, p.requires_grad) for m in modules for p in m.parameters()]
    yield
    for parameter, requires_grad in wanted:
        parameter.requires_grad = requires_grad
