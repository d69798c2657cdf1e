"""Refuse a plugin that doesn't take volumes where a backbone's blocks give those.

Shapes: N batch, C channels, T frames, H height, W width.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import nn

from nlse_mm.errors import ConfigError

from .no_trace import capture, no_trace


def check_takes_volumes(plugin: nn.Module, channels: int, key: str) -> None:
    """Raise ConfigError if a plugin doesn't run on a small (N, C, T, H, W).

    Args:
        plugin: As it was built.
        channels: C at its place.
        key: Where its entry stands, such as ``plugins[0]``.
    """
    weight = next(plugin.parameters(), torch.empty(0))
    x = weight.new_zeros(1, channels, 2, 4, 4)
    returned: dict[str, list[Any]] = defaultdict(list)
    try:
        # Hooks: else a block may use its layers' weights and not call the layers,
        # which know how many dimensions they are for.
        with no_trace(plugin), capture(dict(plugin.named_modules()), returned):
            plugin(x)
    except Exception as error:  # whatever a plugin raises for a shape
        name = type(plugin).__name__
        instead = f"; {name[:-2]}3d does" if name.endswith("2d") else ""
        said = " ".join(str(error).split())
        raise ConfigError(
            f"{key}: {name} does not run on this backbone's volumes (N, C, T, H, W)"
            f"{instead} ({said})"
        ) from error
