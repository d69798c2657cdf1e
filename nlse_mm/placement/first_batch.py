"""Log once, at a model's first batch, what its blocks don't store.

Shapes: those of :mod:`nlse_mm.ops`.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from nlse_mm.ops.older_torch import is_compiling
from nlse_mm.ops.precision import common_dtype
from nlse_mm.ops.tracing import is_recording

from .no_trace import in_trial_run


class FirstBatch:
    """Add up what MMCV's blocks would store, and log it when the model returns.

    Its hooks are gone after that. A class, whose bound methods are copied and pickled
    with the model.

    Args:
        model: The model, which a batch goes through.
        blocks: Those of its non-local blocks that compute in linear memory.
        others: What to add to the line.
    """

    def __init__(self, model: nn.Module, blocks: Sequence[nn.Module], others: str):
        self.number = len(blocks)
        self.others = others
        self.stored: list[int] = []
        self.is_training = False
        self.handles: list[Any] = [
            block.register_forward_pre_hook(self.add, with_kwargs=True)
            for block in blocks
        ]
        self.handles.append(model.register_forward_pre_hook(self.begin))
        self.handles.append(model.register_forward_hook(self.returned))

    def begin(self, *_: Any) -> None:
        """Forget what a batch that wasn't finished has added."""
        self.stored.clear()

    def add(self, block: nn.Module, args: Any, kwargs: Any) -> None:
        """Note the size of what a block is given."""
        x: Tensor = next(iter((*args, *kwargs.values())))
        if not is_compiling() and not is_recording(x) and not in_trial_run():
            self.stored.append(bytes_of_weights(block, x))
            self.is_training = torch.is_grad_enabled()

    def returned(self, *_: Any) -> None:
        """Log when the model returns from a batch that it computed."""
        if not is_compiling() and not is_recording() and not in_trial_run():
            self.log()

    def log(self) -> None:
        """Log the line, unless that was done."""
        if not self.handles:
            return
        while self.handles:
            self.handles.pop().remove()
        # In training all are kept for the backward pass; else one at a time is there.
        total = sum(self.stored) if self.is_training else max(self.stored, default=0)
        saved = f"{total / 2**20:,.1f} MiB of P x Q weights"
        saved += ", kept for the backward pass" if self.is_training else ""
        if not self.stored:
            saved = "unknown, since no block was called, or the model is compiled"
        print_log(
            f"MMCV's non-local blocks that compute in linear memory: {self.number}; "
            f"saved in the first batch: {saved}{self.others}",
            logger="current",
        )


def bytes_of_weights(block: Any, x: Tensor) -> int:
    """Count the bytes of pairwise weights that MMCV's block stores for ``x`` (N, C, *).

    N P Q numbers. In mode ``concatenation`` N P Q (2 D + 1): its layer's input as well.
    """
    *rest, height, width = (1, *x.shape[2:])
    queries = math.prod(x.shape[2:])
    # Of a sequence, pooled by 2 is its only dimension, the last.
    pooled = math.prod(rest) * (height // 2 or 1) * (width // 2)
    keys = pooled if block.sub_sample else queries
    is_pairs = block.mode == "concatenation"
    numbers = 2 * block.inter_channels + 1 if is_pairs else 1
    return x.shape[0] * queries * keys * numbers * common_dtype(x).itemsize
