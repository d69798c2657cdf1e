"""Build a toolbox's backbone: what the functions that stand for one share."""

import inspect
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from torch import nn

from nlse_mm.arguments import build_stock, stock_parameters
from nlse_mm.errors import ArgumentError
from nlse_mm.placement.entries import BlockEntry, Entries, parse_entries
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import active_toolbox, backbone_class

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])


def factory(function: Factory) -> Factory:
    """Refuse a class that inherits from ``function``, with the reason.

    Python would take the function's type for the class's metaclass, and call that.
    """

    def refuse(bases: tuple[Any, ...]) -> NoReturn:
        raise ArgumentError(
            f"nlse_mm.{function.__name__} is a function, which builds the active "
            "toolbox's own class, and nothing can inherit from it: inherit from the "
            "toolbox's class, and add plugins to yours with "
            "nlse_mm.WithPlugins(base='ITS NAME', plugins=...)"
        )

    vars(function)["__mro_entries__"] = refuse
    return function


def compared_to(
    plain: str | Callable[..., nn.Module], *dropped: str, **defaults: Any
) -> Callable[[Factory], Factory]:
    """Give an SE backbone its ``without_se``, which makes its config the baseline's.

    Args:
        plain: What builds the same network without SE layers, or its registered name.
        dropped: Arguments of the SE backbone that ``plain`` doesn't have.
        defaults: Those of the SE backbone that ``plain`` has other ones of.
    """

    def without_se(config: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in config.items() if k not in dropped}
        return {**defaults, **kept, "type": plain}

    def decorate(function: Factory) -> Factory:
        vars(function)["without_se"] = without_se
        return function

    return decorate


def build_backbone(
    name: str,
    cls: str,
    plugins: Entries | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> nn.Module:
    """Build ``cls`` of the active toolbox for ``nlse_mm.{name}``, without ``plugins``.

    Raises:
        ArgumentError: For what the class refuses; it names the argument.
        ConfigError: For a plugin entry that means nothing.
    """
    parse_entries(plugins, BlockEntry)  # before the seconds that building takes
    stock = backbone_class(cls)
    depth = args[0] if args else kwargs.get("depth")
    depths = getattr(stock, "arch_settings", ())
    if type(depth) is int and depth not in depths:
        raise ArgumentError(f"nlse_mm.{name}: depth={depth} is not one of {(*depths,)}")
    for ours, theirs in active_toolbox().renamed.items():
        # What is given by the toolbox's own name counts.
        if ours in kwargs and theirs in stock_parameters(stock):
            kwargs = {theirs: kwargs[ours], **kwargs}
            del kwargs[ours]
    parameters = inspect.signature(MODELS.module_dict[name]).parameters
    own = {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    return build_stock(f"nlse_mm.{name}", stock, args, kwargs, own=own)
