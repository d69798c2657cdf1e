"""What a run is for, where that decides which operations may be used.

Shapes: none; of a tensor only the type is read.
"""

from enum import Enum

import torch
import torch.autograd.forward_ad
import torch.fx
from torch import Tensor, nn

from .older_torch import (
    TELLS_EXPORTS,
    has_global_hooks,
    is_compiling,
    is_exporting,
)

# As it is when nlse_mm is imported: what replaces it later expects to run at each call.
_CALL = nn.Module.__call__


class Recorder(Enum):
    """Name what records a graph, to run it elsewhere or to count its operations."""

    EXPORT = "torch.export"
    ONNX = "torch.onnx.export(dynamo=True)"
    TRACER = "the TorchScript tracer"


def recorder() -> Recorder | None:
    """Return what records the operations; None where they run, or are compiled.

    ``torch.compile`` isn't one: its graphs run in this process, where nlse_mm is. Below
    PyTorch 2.7 ``torch.export`` can't be told from it, and isn't named either.
    """
    if torch.jit.is_tracing():  # the older of the two ONNX exporters traces, too
        return Recorder.TRACER
    if TELLS_EXPORTS and is_exporting():
        return Recorder.ONNX if torch.onnx.is_in_onnx_export() else Recorder.EXPORT
    return None


def is_recording(x: Tensor | None = None) -> bool:
    """Tell whether the operations are recorded, to run elsewhere or to be counted.

    By a :class:`Recorder` or, where ``x`` is its stand-in for a tensor, ``torch.fx``.

    Args:
        x: A module's input, where ``torch.fx`` may call the module.
    """
    return (
        is_exporting()
        or torch.onnx.is_in_onnx_export()
        or torch.jit.is_tracing()
        or isinstance(x, torch.fx.Proxy)
    )


def needs_formula() -> bool:
    """Tell whether only PyTorch's own operations, out of place, will do.

    nlse_mm's operations may be missing where a recorded graph is loaded. And
    ``torch.func`` and forward-mode differentiation have rules for PyTorch's only.
    """
    # First, since ``torch.export`` counts as compiling, too.
    if is_recording():
        return True
    return not is_compiling() and is_transformed()


def is_transformed() -> bool:
    """Tell whether ``torch.func`` or forward-mode differentiation runs.

    Not to be asked in what Dynamo follows, which can't follow the question.
    """
    # Private names: PyTorch has no public ones for either question.
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def is_hooked(*modules: nn.Module) -> bool:
    """Tell whether code of others runs when the modules or their parts are called.

    A hook of any kind, their own or a global one, such as those of
    ``torch.nn.utils.spectral_norm``, of pruning and of counters; a ``forward`` that an
    instance has of its own; or a replaced ``nn.Module.__call__``. Costs a walk over all
    parts in Python, at each call of a block.

    Example:
        >>> layer = nn.Sequential(nn.Linear(2, 2))
        >>> is_hooked(layer)
        False
        >>> _ = layer[0].register_forward_hook(print)
        >>> is_hooked(layer)
        True
    """
    if has_global_hooks():
        return True
    # ``torch.export`` replaces it for its own sake, to know which module it is in.
    if nn.Module.__call__ is not _CALL and not is_exporting():
        return True
    return any(map(_is_hooked, modules))


def _is_hooked(module: nn.Module) -> bool:
    # A plain chain of attributes: small blocks pay for each step.
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
    ):
        return True
    # Not modules(), whose names cost more than a small block's products.
    for part in module._modules.values():
        if part is not None and _is_hooked(part):
            return True
    return False
