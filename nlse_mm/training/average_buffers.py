"""Share one set of running statistics among all processes."""

from typing import Any

from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from nlse_mm.arguments import checked
from nlse_mm.registry import HOOKS


@HOOKS.register_module()
@checked
class AverageBuffersHook(Hook):
    """Average BatchNorm's running statistics over the processes before they are used.

    Each process gathers its own, and the checkpoint holds the first one's: without
    this, the last evaluation of a training and a test of its checkpoint disagree in the
    last digits. Runs at the end of an epoch, and in the iteration loop at each
    iteration that ends in a checkpoint or an evaluation. Counters are left as they are.
    """

    priority = "NORMAL"  # before CheckpointHook's VERY_LOW

    def after_train_epoch(self, runner: Runner) -> None:
        """Average at the end of an epoch."""
        if get_world_size() > 1:
            _average(runner)

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Average where the iteration loop saves or evaluates."""
        if (
            isinstance(runner.train_loop, IterBasedTrainLoop)
            and get_world_size() > 1
            and self._is_used(runner)
        ):
            _average(runner)

    def _is_used(self, runner: Runner) -> bool:
        """Say whether a checkpoint or an evaluation follows this iteration."""
        if self.is_last_train_iter(runner):
            return True
        intervals = [(runner.val_interval, 0)] if runner.val_loop else []
        intervals += [
            (hook.interval, hook.save_begin)
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ]
        return any(self.every_n_train_iters(runner, *pair) for pair in intervals)


def _average(runner: Runner) -> None:
    for buffer in runner.model.buffers():
        if buffer.is_floating_point():
            all_reduce(buffer, op="mean")
