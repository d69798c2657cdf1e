"""Whether a recorded graph has to hold the map of weights, and the warning if it has.

Shapes: N batch, P queries, Q keys.
"""

import warnings

import torch
from torch import Tensor

from .older_torch import is_followed_by_dynamo
from .tracing import Recorder, is_transformed, recorder


def may_be_linear() -> bool:
    """Tell whether the recorder may be given operations other than the formula's.

    The tracer fixes the sizes of anything else, and ``torch.func`` has no rules for it.
    """
    by = recorder()
    if by is None or by is Recorder.TRACER:
        return False
    return is_followed_by_dynamo() or not is_transformed()


def warn_of_map(what: str, value: Tensor, queries: int) -> None:
    """Warn, in one line, that a graph is recorded with its map of weights.

    Args:
        what: What is recorded.
        value: The values, (N, Q, E).
        queries: P.
    """
    by = recorder()
    if by is None or is_followed_by_dynamo():  # which can't follow a warning
        return
    n, p, q = map(_number, (value.shape[0], queries, value.shape[1]))
    mib = n * p * q * value.element_size() / 2**20
    category = torch.jit.TracerWarning if by is Recorder.TRACER else UserWarning
    warnings.warn(
        f"{by.value} records {what} as its formula, with the map of {n} x {p} x {q} "
        f"weights, {mib:.0f} MiB at this size (docs/how_it_works.md, exported files)",
        category,
        stacklevel=2,
    )


def _number(size: int | torch.SymInt | Tensor) -> int:
    """Read a size of the example without fixing it in the graph."""
    if isinstance(size, torch.SymInt):
        return int(size.node.hint)
    with warnings.catch_warnings():
        # The tracer's sizes are tensors, and it warns of each that becomes a number.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        return int(size)
