"""Which channels squeeze-and-excitation opens, for which class."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .capture import capture_outputs
from .methods import HasExcitation, excitation_layers
from .moments import RunningMoments

ALL = "all"
_STAGE = re.compile(r"(.*\blayer\d+)\.\d+\.")


def last_of_stages(model: nn.Module) -> dict[str, HasExcitation]:
    """Return the last layer with excitations of each stage, by its path.

    A stage is ``layer1`` to ``layer4`` of a ResNet; a layer that is in none of them
    (after a neck, or in a backbone with other names) counts as a stage of its own.

    Returns:
        In the model's order.

    Raises:
        ConfigError: If there is none.
    """
    last = {}
    for name, layer in excitation_layers(model).items():
        stage = _STAGE.match(name)
        last[stage[1] if stage else name] = name, layer
    return dict(last.values())


class ExcitationMeter:
    """Mean and spread over images of each channel's gate, by layer and class.

    As figures 6 and 7 of `Squeeze-and-Excitation Networks
    <https://arxiv.org/abs/1709.01507>`_. Memory grows with the channels and classes,
    not with the images.

    Args:
        layers: Modules that have ``excitation(x)``, by name.
        classes: Classes to tell apart; there is always one more, ``'all'``.

    Attributes:
        moments: By layer and class; empty for a layer that didn't run.
    """

    def __init__(
        self, layers: Mapping[str, HasExcitation], classes: Collection[str]
    ) -> None:
        self.layers = layers
        self.classes = (ALL, *classes)
        self.moments: dict[str, dict[str, RunningMoments]] = {n: {} for n in layers}

    @contextmanager
    def measuring(self, classes: Collection[str]) -> Iterator[None]:
        """Measure what runs within it: the model, on one image of ``classes``."""
        counted = {ALL, *classes}

        def update(name: str, layer: HasExcitation, x: Tensor, y: Tensor) -> None:
            with torch.no_grad():
                gates = layer.excitation(x)  # (N, C)
            if not self.moments[name]:
                shape = tuple(gates.shape[1:])
                self.moments[name] = {c: RunningMoments(shape) for c in self.classes}
            for gate in gates:
                for c in counted.intersection(self.classes):
                    self.moments[name][c].update(gate)

        with capture_outputs(self.layers, update):
            yield
