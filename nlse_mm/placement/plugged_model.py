"""Run plugins on what any module returns: on its output, or on maps among it."""

from functools import wraps
from typing import Any

from torch import Tensor, nn

from .plugged_backbone import PluggedBackbone


class PluggedModule:
    """Mixed into the module at an ``after`` path: plugins run on what it returns.

    They are children of the model, not of this module, which may be an
    ``nn.Sequential`` that would run them as its members too.
    """

    # A tuple, in which PyTorch doesn't look for children.
    plugins_after: tuple[nn.Module, ...]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """As the module's own, then the plugins in the order written."""
        out = super().forward(*args, **kwargs)
        for plugin in self.plugins_after:
            out = plugin(out)
        return out


class PluggedModel(PluggedBackbone):
    """Mixed into the model itself: it holds all the plugins, as children.

    ``output_plugins`` maps the index of a feature map to its plugins' names, and
    ``after_plugins`` holds the other names; ``number_of_outputs`` is how many maps the
    model returned when it was built.
    """

    output_plugins: dict[int, list[str]]
    after_plugins: list[str]
    number_of_outputs: int | None

    def __init_subclass__(cls) -> None:
        """Give ``forward`` the signature of the model's own, which torch.fx reads."""
        super().__init_subclass__()
        run = cls.forward

        @wraps(cls._mixed_from[1].forward)
        def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return run(self, *args, **kwargs)

        cls.forward = forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the model's own, with plugins on the chosen maps.

        Raises:
            RuntimeError: If it returns another number of maps than when it was built.
        """
        out = super().forward(*args, **kwargs)
        if not self.output_plugins:
            return out
        maps = list_maps(out)
        if len(maps) != self.number_of_outputs:
            raise RuntimeError(
                f"{type(self).__name__} returns {len(maps)} maps in "
                f"{'training' if self.training else 'inference'}, and returned "
                f"{self.number_of_outputs} when its plugins were placed, so output= "
                "would mean two things; place the plugins with after="
            )
        for index, names in self.output_plugins.items():
            for name in names:
                maps[index] = _on_map(getattr(self, name), maps[index])
        return _like(out, maps)

    def plugin_modules(self) -> list[nn.Module]:
        """All plugins: those placed here, and those that the model had before."""
        names = [n for names in self.output_plugins.values() for n in names]
        placed = [getattr(self, name) for name in names + self.after_plugins]
        return placed + super().plugin_modules()


def list_maps(out: Any) -> list[Any]:
    """What a model returned as a list: of one, of its members, or of its values."""
    if isinstance(out, dict):
        return list(out.values())
    return list(out) if isinstance(out, tuple | list) else [out]


def map_of(value: Any) -> Any:
    """The map in what a model returns for a stage: itself, or of [map, class token]."""
    return value[0] if _has_token(value) else value


def _has_token(value: Any) -> bool:
    # MMSegmentation's VisionTransformer with output_cls_token=True, as DPT wants it.
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(v, Tensor) for v in value)
        and [v.dim() for v in value] == [4, 2]
    )


def _on_map(plugin: nn.Module, value: Any) -> Any:
    if not _has_token(value):
        return plugin(value)
    return type(value)((plugin(value[0]), value[1]))


def _like(out: Any, maps: list[Any]) -> Any:
    if isinstance(out, dict):
        return type(out)(zip(out, maps, strict=True))
    if isinstance(out, tuple) and hasattr(out, "_fields"):
        return type(out)(*maps)
    return type(out)(maps) if isinstance(out, tuple | list) else maps[0]
