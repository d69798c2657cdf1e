"""Ask the rule of ``nlse_mm.ops`` which way attention takes on this machine.

Shapes: N images, P queries, Q keys, D channels.
"""

from typing import TYPE_CHECKING

from .findings import Way

if TYPE_CHECKING:
    import torch

# N, P, Q, D and what has that shape.
SHAPES = {
    "res4 block, one 800 x 1333 image": (1, 4200, 4200, 512),
    "the same with sub_sample=True": (1, 4200, 1050, 512),
    "head of 128 RoIs, 14 x 14": (128, 196, 196, 256),
}
_BLOCKS = "blocks of weights"


def ways() -> tuple[Way, ...]:
    """Return the way of each shape in 32 and 16 bits, on the device that trains."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtypes = {"32 bit": torch.float32, "16 bit": torch.float16}
    return tuple(
        Way(f"{name}, {sizes[-1]} channels", device, bits, _way(device, dtype, *sizes))
        for name, sizes in SHAPES.items()
        for bits, dtype in dtypes.items()
    )


def _way(device: str, dtype: "torch.dtype", n: int, p: int, q: int, d: int) -> str:
    import torch

    from nlse_mm.ops.older_torch import flash_takes
    from nlse_mm.ops.softmax_way import Way as Kind
    from nlse_mm.ops.softmax_way import softmax_way

    if softmax_way(device, dtype, n, p, q, d, d) is Kind.BLOCKS:
        return _BLOCKS
    query = torch.empty(n, 1, p, d, device=device, dtype=dtype, requires_grad=True)
    key = torch.empty(n, 1, q, d, device=device, dtype=dtype, requires_grad=True)
    return "flash kernel" if flash_takes(query, key, key) else _BLOCKS
