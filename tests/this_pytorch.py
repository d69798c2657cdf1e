"""What this PyTorch can do, found by asking, for the tests that need more than 2.1 has.

A test that can't run says which capability is missing, never which version.
"""

import inspect

import pytest
import torch

from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS


def _multiplies_float16() -> bool:
    try:
        with torch.autocast("cpu", torch.float16):
            torch.ones(1, 1, 1) @ torch.ones(1, 1, 1)
    except RuntimeError:
        return False
    return True


FLOAT16 = _multiplies_float16()
# The older of the two ONNX exporters was the only one, and then had no name.
OLD_EXPORTER = (
    {"dynamo": False}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters
    else {}
)


def half_dtypes(device: str) -> tuple[torch.dtype, ...]:
    """Return the dtypes of 16 bits that are multiplied on a kind of device."""
    has_both = FLOAT16 or device != "cpu"
    return (torch.float16, torch.bfloat16) if has_both else (torch.bfloat16,)


needs_float16 = pytest.mark.skipif(
    not FLOAT16, reason="this PyTorch has no float16 products on the CPU"
)
needs_custom_ops = pytest.mark.skipif(
    not HAS_CUSTOM_OPS, reason="this PyTorch has no torch.library.custom_op"
)
needs_open_sizes = pytest.mark.skipif(
    not hasattr(getattr(torch.export, "Dim", None), "AUTO"),
    reason="this PyTorch has no torch.export.Dim.AUTO",
)
needs_compiled_type = pytest.mark.skipif(
    not HAS_CUSTOM_OPS, reason="this PyTorch compiles no type() of a list or a dict"
)
each_half_dtype = pytest.mark.parametrize(
    "dtype", [pytest.param(torch.float16, marks=needs_float16), torch.bfloat16]
)
