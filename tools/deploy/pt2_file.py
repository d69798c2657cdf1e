"""Record, write, run and read PyTorch's own exported programs."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from contents import Contents, Run
from torch import Tensor, nn
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram

TO_WRITE: tuple[str, ...] = ()
TO_RUN: tuple[str, ...] = ()


def record(part: nn.Module, images: Tensor, dynamic: bool) -> ExportedProgram:
    """Return ``part`` as a program, a function of ``images``."""
    sizes = (dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC),) if dynamic else None
    return torch.export.export(part, (images,), dynamic_shapes=sizes)


def save(program: ExportedProgram, path: Path) -> None:
    """Write a program."""
    torch.export.save(program, path)


def load(path: Path) -> Run:
    """Return the function that the file holds, run by PyTorch on the CPU."""
    program = torch.export.load(path).module()

    @torch.no_grad()
    def run(images: Tensor) -> list[Tensor]:
        outputs = program(images)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)

    return run


def runner() -> str:
    """Return the name of what runs the file."""
    return f"PyTorch {torch.__version__}"


def read(path: Path) -> Contents:
    """Return what a file holds."""
    program = torch.export.load(path)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs, outputs = (
        [values[name] for name in names]
        for names in (
            program.graph_signature.user_inputs,
            program.graph_signature.user_outputs,
        )
    )
    return Contents(
        "ATen",
        [_shape(value, inputs[0]) for value in inputs],
        [_shape(value, inputs[0]) for value in outputs],
        Counter(_operators(program.graph_module)),
    )


def _operators(graph: Any) -> Iterator[str]:
    """Yield the operators of a graph and of the bodies of its loops."""
    for module in graph.modules():
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            if isinstance(node.target, OpOverload):
                yield str(node.target.overloadpacket)
            elif isinstance(node.target, HigherOrderOperator):
                yield node.target.name()


def _shape(value: Any, images: Any) -> tuple[str, ...]:
    """Return a shape; an open size is one of the images' by name, or a term of it."""
    sizes = ", ".join(map(str, value.shape))
    for size, name in zip(images.shape, ("batch", "", "height", "width"), strict=True):
        if not isinstance(size, int):
            sizes = re.sub(rf"\b{size}\b", name, sizes)
    return tuple(sizes.split(", "))
