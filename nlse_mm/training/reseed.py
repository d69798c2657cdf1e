"""Seed a resumed training so that it equals one that wasn't interrupted."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from nlse_mm.arguments import checked
from nlse_mm.registry import HOOKS

from .seed_worker import seed_everything

# Keeps the numbers of one use apart from those of another.
_EPOCH, _BATCH = range(2)


class _SeededBatches(Iterator[Any]):
    """Seed before each batch is fetched, from its number.

    Args:
        batches: The iteration loop's endless batches.
        seed: Of the training.
        rank: Of the process.
    """

    def __init__(self, batches: Iterator[Any], seed: int, rank: int) -> None:
        self._batches = batches
        self._seed = seed
        self._rank = rank
        self._number = 0

    def __next__(self) -> Any:
        seed_everything(self._seed, self._rank, self._number, _BATCH)
        self._number += 1
        return next(self._batches)

    def skip_iter(self, num_iters: int) -> None:
        """Fetch as many batches: OneDL's loop calls this when a training is resumed.

        Its own iterator makes the sampler skip them, and starts the data workers anew
        in a state of their random numbers that an uninterrupted training hasn't there.
        """
        for _ in range(num_iters):
            next(self)


@HOOKS.register_module()
@checked(at_least=dict(seed=0))
class ReseedHook(Hook):
    """Seed Python, NumPy and PyTorch anew so that no state needs to be saved.

    In the epoch loop before each epoch, from seed, epoch and rank; in the iteration
    loop, which may be resumed at any iteration, before each batch is fetched, from
    seed, iteration and rank. Together with ``seed_worker``, data
    workers that aren't persistent, and the killed training's seed, a training that was
    killed and resumed ends with the same weights, bit for bit, as one that was not.

    Exact on the CPU with one process and two. Not exact: a checkpoint written within an
    epoch of the epoch loop (MMEngine begins that epoch again); CUDA kernels that add in
    any order (``randomness = dict(deterministic=True)`` avoids them); three or more
    processes, whose first step after a start may add gradients in another order.

    Args:
        seed: Of the training; the same in every process.

    Example::

        custom_hooks = [dict(type='nlse_mm.ReseedHook', seed=0)]
    """

    priority = "LOWEST"  # after the hooks that use random numbers themselves

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Tie the iteration loop's batches to their number."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator = _SeededBatches(
                loop.dataloader_iterator, self.seed, runner.rank
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed from the epoch; the data workers are started right after this."""
        seed_everything(self.seed, runner.rank, runner.epoch, _EPOCH)
