"""Finding what has attention maps or excitations: by its method, never by its class."""

import inspect
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from nlse_mm.errors import ConfigError


class HasAttention(nn.Module):
    """What attention maps need of a module; a type only, nothing inherits from it."""

    def attention(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Return the weights (N, h, len(positions), Q) that queries give to keys.

        ``positions`` are flat indices into the map that the module puts out. On a
        volume, a module whose keys are those of the query's frame, or of its place,
        says so with an attribute ``axis``, ``'space'`` or ``'time'``.
        """
        raise NotImplementedError


class HasExcitation(nn.Module):
    """What excitation plots need of a module; a type only, nothing inherits from it."""

    def excitation(self, x: Tensor) -> Tensor:
        """Return the number (N, C) by which each channel is scaled."""
        raise NotImplementedError


def with_attention(model: nn.Module) -> dict[str, HasAttention]:
    """Return the modules that have ``attention(x, positions)``, if any, by path."""
    return {
        name: cast(HasAttention, module)
        for name, module in model.named_modules()
        if "positions" in _arguments(module, "attention")
    }


def attention_blocks(
    model: nn.Module, names: Sequence[str] = ()
) -> dict[str, HasAttention]:
    """Return the modules that have ``attention(x, positions)``, by their path.

    Args:
        model: Any model.
        names: Only these; a path's end is enough, such as ``layer3.4.nonlocal_block``.

    Returns:
        In the model's order.

    Raises:
        ConfigError: If there is none, or none of one of the names.
    """
    blocks = with_attention(model)
    if not blocks:
        raise ConfigError(
            f"{type(model).__name__} has no nlse_mm.NonLocal2d block, nor any other "
            "module with a method attention(x, positions)"
        )
    if not names:
        return blocks
    chosen: dict[str, HasAttention] = {}
    for name in names:
        found = [n for n in blocks if f".{n}".endswith(f".{name}")]
        if not found:
            there = ", ".join(blocks)
            raise ConfigError(f"no block is named {name!r}; there are {there}")
        chosen |= {n: blocks[n] for n in found}
    return chosen


def excitation_layers(model: nn.Module) -> dict[str, HasExcitation]:
    """Return the modules that have ``excitation(x)``, by their path.

    Returns:
        In the model's order.

    Raises:
        ConfigError: If there is none.
    """
    layers = {
        name: cast(HasExcitation, module)
        for name, module in model.named_modules()
        if len(_arguments(module, "excitation")) == 1
    }
    if not layers:
        raise ConfigError(
            f"{type(model).__name__} has no nlse_mm.SELayer, nor any other module with "
            "a method excitation(x)"
        )
    return layers


def _arguments(module: nn.Module, name: str) -> list[str]:
    """Return the names of a method's arguments; none if it isn't a method.

    The class is asked: in many models a layer, not a method, is called ``attention``.
    """
    method = getattr(type(module), name, None)
    if not inspect.isfunction(method):
        return []
    return list(inspect.signature(method).parameters)[1:]
