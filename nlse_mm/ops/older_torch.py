"""What ops/ needs of PyTorch that came after 2.1, under one name for all versions.

Shapes: none.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.modules import module
from torch.utils import flop_counter
from torch.utils._pytree import tree_map

# PyTorch 2.1 lacks them. There an operation is a plain autograd function.
HAS_CUSTOM_OPS = hasattr(torch.library, "custom_op")
# Without it, below 2.7, what Dynamo follows may be an export or a compilation.
TELLS_EXPORTS = hasattr(torch.compiler, "is_exporting")

HALF = (torch.float16, torch.bfloat16)
# From 2.8 on, and not on AMD's GPUs.
HAS_WIDE_PRODUCTS = (
    "dtype_out" in torch.ops.aten.baddbmm.overloads() and not torch.version.hip
)


class Operation(Protocol):
    """Name what ``torch.library.custom_op`` returns, as far as ops/ uses it."""

    def __call__(self, *args: Any) -> Any:
        """Run the operation."""

    def register_fake(self, fake: Callable[..., Any]) -> Callable[..., Any]:
        """Say what shapes it returns."""

    def register_autograd(
        self, backward: Callable[..., Any], *, setup_context: Callable[..., Any]
    ) -> None:
        """Say what its gradients are."""


class _PlainOperation:
    """Stand in for a custom operator: the same function, by autograd alone.

    Fake tensors run it as it is, and a counter counts the products inside of it.
    """

    def __init__(self, forward: Callable[..., Any]):
        self._forward = forward
        self._apply: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        wanted = (isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        if self._apply is None or not torch.is_grad_enabled() or not any(wanted):
            return self._forward(*args)
        return self._apply(*args)

    def register_fake(self, fake: Callable[..., Any]) -> Callable[..., Any]:
        return fake

    def register_autograd(
        self, backward: Callable[..., Any], *, setup_context: Callable[..., Any]
    ) -> None:
        members = dict(
            forward=staticmethod(self._forward),
            setup_context=staticmethod(setup_context),
            backward=staticmethod(backward),
        )
        function: Any = type("Function", (torch.autograd.Function,), members)
        self._apply = function.apply


def operation(name: str) -> Callable[[Callable[..., Any]], Operation]:
    """Make a function one step in graphs, where this PyTorch can.

    Args:
        name: The operation's, without the namespace ``nlse_mm``.
    """
    if HAS_CUSTOM_OPS:
        return torch.library.custom_op(f"nlse_mm::{name}", mutates_args=())
    return _PlainOperation


def flop_formula(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Tell PyTorch's counters what an operation costs, where it is one step."""
    if HAS_CUSTOM_OPS:
        return flop_counter.register_flop_formula(getattr(torch.ops.nlse_mm, name))
    return lambda formula: formula


def count_flops(step: Any, args: Any, kwargs: Any, out: Any) -> int:
    """Return what a step costs by PyTorch's formula for it; 0 if there is none.

    Args:
        step: One of the operations that autograd records, without its overload.
        args: What it was given.
        kwargs: What it was given by name.
        out: What it returned.
    """
    if hasattr(flop_counter, "flop_registry"):
        formula = flop_counter.flop_registry.get(step)
        return formula(*args, **kwargs, out_val=out) if formula else 0
    # PyTorch 2.1's formulas take shapes, and their table has another name.
    # Operations of ours are counted inside there, where products are written in place.
    older: Any = flop_counter
    name = step.__name__.removesuffix("_")
    of_shapes = older.flop_mapping.get(getattr(torch.ops.aten, name, step))
    if of_shapes is None:
        return 0
    args, kwargs, out = tree_map(flop_counter.get_shape, (args, kwargs, out))
    return of_shapes(*args, **kwargs, out_shape=out)


def is_exporting() -> bool:
    """Tell whether ``torch.export`` records, or in older versions dynamo as well.

    PyTorch 2.1, for one, doesn't tell the two apart.
    """
    return torch.compiler.is_exporting() if TELLS_EXPORTS else is_compiling()


def is_compiling() -> bool:
    """Tell whether ``torch.compile`` or ``torch.export`` records."""
    if hasattr(torch.compiler, "is_compiling"):
        return torch.compiler.is_compiling()
    return torch._dynamo.is_compiling()


def is_followed_by_dynamo() -> bool:
    """Tell whether Dynamo follows the code, which then doesn't run."""
    return TELLS_EXPORTS and torch.compiler.is_dynamo_compiling()


def module_itself(module: Any) -> Any:
    """Return a module, where ``torch.export`` hands out a stand-in for it.

    It does so once any module of the model has two names, as shared pooling has.
    """
    if TELLS_EXPORTS and torch.compiler.is_exporting():
        get = getattr(module, "get_base", None)  # a private class's, of another type
        return module if get is None else get()
    return module


def onnx_scan() -> Callable[..., Any] | None:
    """Return PyTorch's scan where its newer ONNX exporter can write it; else None.

    Only to be asked while that exporter runs, which has imported its own modules.
    """
    try:
        from torch._higher_order_ops.scan import scan
        from torch.onnx._internal.exporter._torchlib.ops import hop
    except ImportError:
        return None
    return scan if hasattr(hop, "higher_order_scan") else None


def has_global_hooks() -> bool:
    """Tell whether a hook runs at each call of any module."""
    if hasattr(module, "_has_any_global_hook"):
        return module._has_any_global_hook()
    kinds = ("forward", "forward_pre", "backward", "backward_pre")
    return any(getattr(module, f"_global_{kind}_hooks") for kind in kinds)


def is_autocast_enabled(device_type: str) -> bool:
    """Tell whether autocast is on for a kind of device."""
    if hasattr(torch, "get_autocast_dtype"):
        return torch.is_autocast_enabled(device_type)
    if device_type == "cpu":
        return torch.is_autocast_cpu_enabled()
    return device_type == "cuda" and torch.is_autocast_enabled()


def autocast_dtype(device_type: str) -> torch.dtype:
    """Return the dtype that autocast computes in on a kind of device."""
    if hasattr(torch, "get_autocast_dtype"):
        return torch.get_autocast_dtype(device_type)
    if device_type == "cpu":
        return torch.get_autocast_cpu_dtype()
    return torch.get_autocast_gpu_dtype()


def multiplies_wide(x: Tensor) -> bool:
    """Tell whether its products, of 16 bits, can be written in 32, unrounded."""
    return HAS_WIDE_PRODUCTS and x.is_cuda and x.dtype in HALF


def wide_product(out: Tensor, a: Tensor, b: Tensor, scale: float, add: bool) -> None:
    """Write ``scale * a @ b`` of 16 bits to ``out`` of 32, or add it."""
    if a.dtype == torch.float16 and torch.backends.cuda.matmul.allow_fp16_accumulation:
        out.baddbmm_(a.float(), b.float(), beta=int(add), alpha=scale)  # else refused
        return
    torch.ops.aten.baddbmm.dtype_out(
        out, a, b, out.dtype, beta=int(add), alpha=scale, out=out
    )


def flash_takes(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Ask PyTorch whether its flash kernel takes (N, h, P or Q, D) on this card.

    PyTorch 2.1, for one, has no way to ask, and so the answer is no.
    """
    if not hasattr(torch.backends.cuda, "can_use_flash_attention"):
        return False
    if is_compiling():
        # Dynamo of PyTorch 2.4 to 2.13 can't follow the question, only its answer.
        trains = query.requires_grad or key.requires_grad or value.requires_grad
        trains = trains and torch.is_grad_enabled()
        return _flash_takes_like(query.device, query.dtype, query.shape[3], trains)
    return _can_flash(query, key, value)


def _flash_takes_like(
    device: torch.device, dtype: torch.dtype, channels: int, trains: bool
) -> bool:
    """Ask it of small tensors: the answer depends on nothing else of the sizes."""
    with torch.set_grad_enabled(trains):
        x = torch.empty(
            1, 1, 8, channels, device=device, dtype=dtype, requires_grad=trains
        )
        return _can_flash(x, x, x)


# What torch.compiler.assume_constant_result does, but it imports Dynamo: seconds.
_flash_takes_like.__dict__["_dynamo_marked_constant"] = True


def _can_flash(query: Tensor, key: Tensor, value: Tensor) -> bool:
    backends: Any = torch.backends.cuda
    arguments = (query, key, value, None, 0.0, False)
    try:
        parameters = backends.SDPAParams(*arguments, False)
    except TypeError:  # older ones have no enable_gqa
        parameters = backends.SDPAParams(*arguments)
    return backends.can_use_flash_attention(parameters)


def only_flash() -> AbstractContextManager:
    """Let ``scaled_dot_product_attention`` run no other kernel, within a ``with``."""
    from torch.nn.attention import SDPBackend, sdpa_kernel  # not there in 2.1

    return sdpa_kernel([SDPBackend.FLASH_ATTENTION])
