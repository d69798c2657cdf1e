"""Which channels squeeze-and-excitation opens, for which class."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError
from nlse_mm.plugins import SELayer

from .moments import RunningMoments
from .watch import watching

ALL = "all"
_STAGE = re.compile(r"(.*\blayer\d+)\.\d+\.")


def last_of_stages(model: nn.Module) -> dict[str, SELayer]:
    """The last SE layer of each stage by its path, in the model's order.

    A stage is ``layer1`` to ``layer4`` of a ResNet; an SE layer that is in none of them
    (after a neck, or in a backbone with other names) counts as a stage of its own.

    Raises:
        ValueError: If there is none.
    """
    last = {}
    for name, layer in model.named_modules():
        if isinstance(layer, SELayer):
            stage = _STAGE.match(name)
            last[stage[1] if stage else name] = name, layer
    if not last:
        raise ConfigError(f"{type(model).__name__} has no nlse_mm.SELayer")
    return dict(last.values())


class ExcitationMeter:
    """Mean and spread over images of each channel's gate, by layer and class.

    As figures 6 and 7 of `Squeeze-and-Excitation Networks
    <https://arxiv.org/abs/1709.01507>`_. Memory grows with the channels and classes,
    not with the images.

    Args:
        layers: SE layers by name.
        classes: Classes to tell apart; there is always one more, ``'all'``.
    """

    def __init__(self, layers: dict[str, SELayer], classes: Collection[str]) -> None:
        self.layers = layers
        self.moments = {
            name: {c: RunningMoments(layer.in_channels) for c in (ALL, *classes)}
            for name, layer in layers.items()
        }

    @contextmanager
    def measuring(self, classes: Collection[str]) -> Iterator[None]:
        """Within it, the model runs on one image, which shows ``classes``."""
        counted = [ALL, *classes]

        def see(name: str, layer: SELayer, x: Tensor, y: Tensor) -> None:
            with torch.no_grad():
                gates = layer.excitation(x)
            for gate in gates:
                for c in counted:
                    if c in self.moments[name]:
                        self.moments[name][c].update(gate)

        with watching(self.layers, see):
            yield
