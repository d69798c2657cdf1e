"""What a run is for, where that decides which operations may be used."""

import torch
import torch.autograd.forward_ad
import torch.fx
from torch import Tensor, nn
from torch.nn.modules import module as nn_module

_CALL = nn.Module.__call__


def is_recording(x: Tensor | None = None) -> bool:
    """Tell whether what runs is written down, to run elsewhere or to be counted.

    By ``torch.export``, an ONNX exporter, ``torch.jit.trace`` or, where ``x`` is its
    stand-in for a tensor, ``torch.fx``. ``torch.compile`` doesn't count as one.
    """
    return (
        torch.compiler.is_exporting()
        or torch.onnx.is_in_onnx_export()
        or torch.jit.is_tracing()
        or isinstance(x, torch.fx.Proxy)
    )


def needs_formula() -> bool:
    """Tell whether only PyTorch's own operations, out of place, will do.

    A file holds the direct formula, with its map of weights: a loop over blocks would
    fix the sizes, ONNX has no searchsorted, and who loads the file may not know our
    operations. And ``torch.func`` and forward-mode differentiation look inside.
    """
    if is_recording():
        return True
    if torch.compiler.is_compiling():
        return False
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def is_observed(*modules: nn.Module) -> bool:
    """Tell whether anyone would notice if the modules or their parts weren't called.

    By a hook of any kind, their own or a global one, such as those of
    ``torch.nn.utils.spectral_norm``, of pruning and of counters; or because an instance
    has a ``forward`` of its own, or somebody has replaced ``nn.Module.__call__``.
    """
    if nn_module._has_any_global_hook() or nn.Module.__call__ is not _CALL:
        return True
    return any(map(_is_observed, modules))


def _is_observed(module: nn.Module) -> bool:
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
        if part is not None and _is_observed(part):
            return True
    return False
