"""Seeing what goes into layers, and what comes out, while a model runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

See = Callable[[str, nn.Module, Any, Any], None]


@contextmanager
def watching(layers: Mapping[str, nn.Module], see: See) -> Iterator[None]:
    """Call ``see(name, layer, input, output)`` after each call of each layer.

    ``input`` is the layer's first argument. A model that was compiled before doesn't
    notice.
    """
    with ExitStack() as stack:
        for name, layer in layers.items():
            handle = layer.register_forward_hook(partial(_tell, see, name))
            stack.callback(handle.remove)
        yield


def _tell(see: See, name: str, layer: nn.Module, inputs: tuple, output: Any) -> None:
    see(name, layer, inputs[0], output)
