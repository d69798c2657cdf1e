"""Capturing what goes into layers, and what comes out, while a model runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


@contextmanager
def capture_outputs(
    layers: Mapping[str, M], receive: Callable[[str, M, Any, Any], None]
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
    receive: Callable[[str, M, Any, Any], None],
    name: str,
    layer: M,
    inputs: tuple[Any, ...],
    output: Any,
) -> None:
    receive(name, layer, inputs[0], output)
