"""Log in training how much attention depends on the query."""

from contextlib import AbstractContextManager
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import HOOKS

from .attention_meter import AttentionMeter
from .statistics import FIELDS, FRAME_FIELDS

LOGGED = ("output", "rows", "entropy", "distance", "frames")


@HOOKS.register_module()
@checked(at_least=dict(interval=1, queries=2))
class AttentionStatisticsHook(Hook):
    """Log ``attention/BLOCK/output``, ``rows``, ``entropy`` and ``distance``.

    What they are says :func:`nlse_mm.analysis.statistics.measure`; of clips, there is
    ``frames``, too. Every ``interval``
    iterations, the first image of the first process's batch is measured from a few
    queries, before MMEngine's ``LoggerHook`` writes its line. No random number is used
    and no gradient changed: the training stays the same, bit for bit. A block that
    adds exactly nothing, as before its first step, has no ``output``.

    Args:
        interval: Iterations from one measurement to the next; ``LoggerHook``'s
            ``interval`` (50 by default), or a multiple of it, suits.
        queries: Queries of the image.

    Raises:
        ConfigError: For an ``interval`` below 1, fewer than two queries, or (when the
            training starts) a model without blocks that have attention.

    Example::

        custom_hooks = [dict(type='nlse_mm.AttentionStatisticsHook')]
    """

    priority = "NORMAL"  # LoggerHook is BELOW_NORMAL

    def __init__(self, interval: int = 50, queries: int = 16) -> None:
        if interval < 1:
            raise ConfigError(f"interval={interval} is not an integer of at least 1")
        self.interval = interval
        self.queries = queries
        self._meter: AttentionMeter | None = None
        self._measuring: AbstractContextManager[None] | None = None

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Find the blocks."""
        _meter(runner, self.queries)

    @master_only
    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Measure the blocks during this iteration, if its turn has come."""
        if self.every_n_train_iters(runner, self.interval):
            self._meter = _meter(runner, self.queries)
            self._measuring = self._meter.measuring()
            self._measuring.__enter__()

    @master_only
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Hand what was measured to the log."""
        if self._meter is None or self._measuring is None:
            return
        self._measuring.__exit__(None, None, None)
        measured = False
        for name, moments in self._meter.moments.items():
            means = *moments.mean.tolist(), *self._meter.frames[name].mean.tolist()
            for field, value in zip((*FIELDS, *FRAME_FIELDS), means, strict=True):
                if field in LOGGED and value == value:  # not NaN
                    measured = True
                    key = f"train/attention/{name}/{field}"
                    runner.message_hub.update_scalar(key, value)
        if not measured:
            runner.logger.warning(
                "AttentionStatisticsHook measured no block: none ran on a map, or the "
                "model is compiled and calls no hooks"
            )
        self._meter = self._measuring = None


def _meter(runner: Runner, queries: int) -> AttentionMeter:
    model = runner.model
    while is_model_wrapper(model):
        model = model.module
    return AttentionMeter(model, queries)
