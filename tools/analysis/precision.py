"""The precisions that a GPU computes in, by the names that people give them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# The dtype of autocast; None where nothing is cast. TF32 is single precision, of whose
# digits products and convolutions read the first three.
PRECISIONS = {
    "fp32": None,
    "tf32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Compute in one of ``PRECISIONS`` within it; on a CPU TF32 is single precision."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    dtype = PRECISIONS[name]
    is_tf32 = name == "tf32" and device == "cuda"
    _read_in_tf32("high" if is_tf32 else "highest", is_tf32)
    try:
        with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
            yield
    finally:
        _read_in_tf32(*before)


def _read_in_tf32(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
