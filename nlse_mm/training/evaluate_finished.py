"""Evaluate the model of a training that has nothing left to train."""

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from nlse_mm.arguments import checked
from nlse_mm.registry import HOOKS


class _NoBatches(Iterator[None]):
    """Give the iteration loop nothing, as often as it asks."""

    def __next__(self) -> None:
        return None

    def skip_iter(self, num_iters: int) -> None:
        """Skip nothing: OneDL's loop calls this instead of asking for each batch."""


@HOOKS.register_module()
@checked
class EvaluateFinishedHook(Hook):
    """Run the evaluation once when a resumed training turns out to be finished."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.is_finished = False

    def before_train(self, runner: Runner) -> None:
        """Find out whether anything is left to train."""
        loop = runner.train_loop
        by_iter = isinstance(loop, IterBasedTrainLoop)
        done, wanted = (
            (loop.iter, loop.max_iters) if by_iter else (loop.epoch, loop.max_epochs)
        )
        self.is_finished = done >= wanted
        if self.is_finished:
            runner.logger.info("Nothing is left to train; evaluating.")
            if by_iter:  # it would read and drop all batches of the whole training
                loop.dataloader_iterator = _NoBatches()

    def after_train(self, runner: Runner) -> None:
        """Evaluate."""
        if self.is_finished and runner.val_loop is not None:
            runner.val_loop.run()
