"""Whether the model is being written to a file rather than run."""

import torch


def is_exporting() -> bool:
    """Whether ``torch.export`` or an ONNX exporter is looking.

    A file holds the direct formula, with its map of weights: a loop over blocks would
    fix the sizes, and ONNX has no searchsorted.
    """
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
