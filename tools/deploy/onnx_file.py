"""Record, write, run and read ONNX files, by PyTorch's exporter on ``torch.export``."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from contents import Contents, Run
from torch import Tensor, nn

TO_WRITE = ("onnx", "onnxscript")
TO_RUN = ("onnxruntime",)


def record(part: nn.Module, images: Tensor, dynamic: bool) -> Any:
    """Return ``part`` as a program, a function of ``images``."""
    names = {0: "batch", 2: "height", 3: "width"}
    sizes = {i: torch.export.Dim(name) for i, name in names.items()}
    program: Any = torch.onnx.export(
        part,
        (images,),
        dynamo=True,
        dynamic_shapes=(sizes,) if dynamic else None,
        input_names=["images"],
        verbose=False,
    )
    for number, output in enumerate(program.model.graph.outputs):
        output.name = f"output_{number}"
    return program


def save(program: Any, path: Path) -> None:
    """Write a program, weights in the same file."""
    program.save(str(path), external_data=False)


def load(path: Path) -> Run:
    """Return the function that the file holds, run by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    cpu = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers=cpu)

    def run(images: Tensor) -> list[Tensor]:
        outputs = session.run(None, {"images": images.numpy()})
        return [torch.from_numpy(output) for output in outputs]

    return run


def runner() -> str:
    """Return the name of what runs the file."""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}"


def read(path: Path) -> Contents:
    """Return what a file holds."""
    import onnx

    model = onnx.load(str(path))
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return Contents(
        f"ONNX opset {opset}",
        [_shape(value) for value in model.graph.input],
        [_shape(value) for value in model.graph.output],
        Counter(_operators(model.graph)),
    )


def _operators(graph: Any) -> Iterator[str]:
    """Yield the operators of a graph and of the bodies of its loops."""
    for node in graph.node:
        yield f"{node.domain}.{node.op_type}".lstrip(".")
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _operators(body)


def _shape(value: Any) -> tuple[str, ...]:
    sizes = value.type.tensor_type.shape.dim
    return tuple(size.dim_param or str(size.dim_value) for size in sizes)
