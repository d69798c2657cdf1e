"""What formats of files have in common."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Run = Callable[[Tensor], list[Tensor]]  # images (N, 3, H, W) to the outputs


@dataclass(frozen=True)
class Contents:
    """Describe what a file holds.

    Args:
        operator_set: What its operators are of.
        inputs: Their shapes; a size that is open is a name.
        outputs: Theirs.
        operators: How often each occurs, those in loops' bodies included.
    """

    operator_set: str
    inputs: list[tuple[str, ...]]
    outputs: list[tuple[str, ...]]
    operators: Counter[str]


def reason(error: BaseException) -> str:
    """Return the kind and the first two lines of what an error comes from."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:2]])
