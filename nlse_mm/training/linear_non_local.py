"""Let MMCV's non-local blocks compute as ours, in training, validation and testing."""

from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from nlse_mm.arguments import checked
from nlse_mm.registry import HOOKS

if TYPE_CHECKING:
    from nlse_mm.placement.first_batch import FirstBatch


@HOOKS.register_module()
@checked
class LinearNonLocalHook(Hook):
    """Make each ``mmcv.cnn.NonLocal1d``, ``2d`` and ``3d`` compute in linear memory.

    What :func:`nlse_mm.use_linear_non_local` does, before the first batch of a
    training, a validation or a test, whose checkpoints and values stay the same.

    Example::

        custom_hooks = [dict(type='nlse_mm.LinearNonLocalHook')]
    """

    # Before hooks that copy the model, and before MMEngine wraps parts of it.
    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._first_batch: FirstBatch | None = None

    def before_run(self, runner: Runner) -> None:
        """Convert the blocks."""
        # Not above: the launchers import this file, and where PyTorch is too old they
        # say so before they import what needs a newer one.
        from nlse_mm.placement.linear_non_local import convert

        self._first_batch = convert(runner.model)[1]

    def _after_iter(self, *_: Any, **__: Any) -> None:
        """Log the line where the model's own hooks can't, as when it is compiled."""
        if self._first_batch is not None:
            self._first_batch.log()
            self._first_batch = None
