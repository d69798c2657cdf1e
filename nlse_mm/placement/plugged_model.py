"""Run plugins on what a model returns: on its output, or on maps among it."""

from functools import wraps
from typing import Any, ClassVar

from torch import Tensor, nn

from .plugged_backbone import PluggedBackbone
from .plugged_module import OwnForward, replace_plugin


class PluggedModel(OwnForward, PluggedBackbone):
    """Hold all the plugins, as children of the model into which this is mixed.

    ``output_plugins`` maps the index of a feature map to its plugins' names, and
    ``after_plugins`` holds the other names; ``number_of_outputs`` is how many maps the
    model returned in the trial run, None without one.
    """

    output_plugins: dict[int, list[str]]
    after_plugins: list[str]
    number_of_outputs: int | None
    # The mixins, and the model's own class; ``mix_in`` sets it.
    _mixed_from: ClassVar[tuple[tuple[type, ...], type[nn.Module]]]

    def __init_subclass__(cls) -> None:
        """Give ``forward`` the signature of the model's own, which torch.fx reads."""
        super().__init_subclass__()
        if "_mixed_from" not in vars(cls):  # a mixin of this kind
            return
        run = cls.forward

        @wraps(cls._mixed_from[1].forward)
        def forward(self: PluggedModel, *args: Any, **kwargs: Any) -> Any:
            return run(self, *args, **kwargs)

        # One for each model's class, whose ``__wrapped__`` is that class's own.
        cls.forward = forward  # type: ignore[method-assign]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model, then plugins on the chosen maps.

        Raises:
            RuntimeError: If it returns another number of maps than when it was built.
        """
        out = super().forward(*args, **kwargs)
        if not self.output_plugins:
            return out
        maps = list_maps(out)
        self._check_number(len(maps))
        for index, names in self.output_plugins.items():
            for name in names:
                maps[index] = _on_map(getattr(self, name), maps[index])
        return _like(out, maps)

    def _check_number(self, number: int) -> None:
        placed, mode = (
            self.number_of_outputs,
            "training" if self.training else "inference",
        )
        returns = f"{type(self).__name__} returns {number} maps in {mode}"
        if placed is not None and number != placed:
            raise RuntimeError(
                f"{returns}, and returned {placed} when its plugins were placed, so "
                "output= would mean two things; place the plugins with after="
            )
        if placed is None and number <= max(self.output_plugins):
            raise RuntimeError(
                f"{returns}, and a plugin was placed at output="
                f"{max(self.output_plugins)} without a trial run"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a module by the name of a plugin runs instead of it."""
        # What a forward sets, such as a tensor, is compiled: it costs no search.
        may_be = value is None or isinstance(value, nn.Module)
        plugin = self._plugin(name) if may_be else None
        super().__setattr__(name, value)
        self._follow(name, plugin)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute; a plugin is no longer run."""
        plugin = self._plugin(name)
        super().__delattr__(name)
        self._follow(name, plugin)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Add a child; one by the name of a plugin runs instead of it."""
        plugin = self._plugin(name)
        super().add_module(name, module)
        self._follow(name, plugin)

    def _plugin(self, name: str) -> nn.Module | None:
        child = vars(self).get("_modules", {}).get(name)
        return child if child is not None and name in self.plugin_names() else None

    def _follow(self, name: str, plugin: nn.Module | None) -> None:
        """Run what is now the child of a plugin's name, where ``plugin`` was run."""
        now = self._modules.get(name) if plugin is not None else None
        if plugin is None or now is plugin:
            return
        replace_plugin(self, plugin, now)
        if now is None:
            self.after_plugins = [n for n in self.after_plugins if n != name]
            self.output_plugins = {
                index: kept
                for index, names in self.output_plugins.items()
                if (kept := [n for n in names if n != name])
            }

    def plugin_names(self) -> list[str]:
        """Return the names of the plugins placed here."""
        names = [n for names in self.output_plugins.values() for n in names]
        return names + self.after_plugins

    def plugin_modules(self) -> list[nn.Module]:
        """Return all plugins: those placed here, and those that the model had."""
        placed = [getattr(self, name) for name in self.plugin_names()]
        return placed + super().plugin_modules()


def list_maps(out: Any) -> list[Any]:
    """Return a model's output as a list: of one, of its members, or of its values."""
    if isinstance(out, dict):
        return list(out.values())
    return list(out) if isinstance(out, tuple | list) else [out]


def map_of(value: Any) -> Any:
    """Return the map of a stage's output, which may be [map, class token]."""
    return value[0] if _has_token(value) else value


def _has_token(value: Any) -> bool:
    # MMSegmentation's VisionTransformer with output_cls_token=True, as DPT wants it.
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(v, Tensor) for v in value)
        and [v.dim() for v in value] == [4, 2]  # (N, C, H, W) and (N, C)
    )


def _on_map(plugin: nn.Module, value: Any) -> Any:
    if not _has_token(value):
        return plugin(value)
    return type(value)((plugin(value[0]), value[1]))


def _like(out: Any, maps: list[Any]) -> Any:
    if isinstance(out, dict):
        changed = out.copy()  # of its class
        for key, value in zip(out, maps, strict=True):
            changed[key] = value
        return changed
    # Plain tuples aside, whose attributes PyTorch 2.1 can't compile a question for.
    if isinstance(out, tuple) and type(out) is not tuple and hasattr(out, "_fields"):
        return type(out)(*maps)
    return type(out)(maps) if isinstance(out, tuple | list) else maps[0]
