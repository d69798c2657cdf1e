"""Refuse another model's checkpoint before anything is loaded."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from nlse_mm.arguments import checked
from nlse_mm.checkpoint import check_coverage
from nlse_mm.registry import HOOKS


@HOOKS.register_module()
@checked
class CheckWeightsHook(Hook):
    """``nlse_mm.checkpoint.check_coverage`` for what is resumed, loaded or tested.

    Args:
        path: The checkpoint's name, for the messages.
        testing: Whether weights in another shape are refused too.
    """

    priority = "VERY_HIGH"  # before EMAHook swaps keys

    def __init__(self, path: str, testing: bool = False) -> None:
        self.path = path
        self.testing = testing

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Raise ``CheckpointError`` with the number of matching keys."""
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        check_coverage(model, checkpoint, self.path, testing=self.testing)
