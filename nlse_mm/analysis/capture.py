"""Capturing what goes into layers, and what comes out, while a model runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

Receive = Callable[[str, nn.Module, Any, Any], None]


@contextmanager
def capture_outputs(
    layers: Mapping[str, nn.Module], receive: Receive
) -> Iterator[None]:
    """Call ``receive(name, layer, input, output)`` after each call of each layer.

    ``input`` is the layer's first argument. A model that was compiled before calls no
    hooks, and nothing is captured.
    """
    with ExitStack() as stack:
        for name, layer in layers.items():
            handle = layer.register_forward_hook(partial(_receive, receive, name))
            stack.callback(handle.remove)
        yield


def _receive(
    receive: Receive, name: str, layer: nn.Module, inputs: tuple, output: Any
) -> None:
    receive(name, layer, inputs[0], output)
