"""Warn in the first steps of a training of plugins that it can't change."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import HOOKS

from .stuck_plugins import Reasons, is_copy, plugins_in

# Optimizer steps in which gradients that are all zero may be chance: batches without
# objects, or a factor that only starts at zero.
STEPS = 10
_UNUSED = (
    "no gradient reaches it, since nothing that the loss is made of uses its output"
)
_ZERO = (
    f"every gradient was exactly zero in the first {STEPS} steps, as it is before a "
    "factor that stays zero, or where the batches have nothing for it"
)


@HOOKS.register_module()
@checked
class CheckPluginsHook(Hook):
    """Warn of each plugin that doesn't learn, once, by name and reason.

    At the first optimizer step: a plugin whose parameters are all frozen, in no
    parameter group or at a learning rate of 0; one that no gradient reaches, since
    nothing uses its output; one that starts at zero and whose zeros are frozen. At the
    tenth: one whose gradients have all been zero.

    It doesn't warn of a frozen plugin that the loaded checkpoint fills, nor of a
    teacher's: a whole model in evaluation mode, or the frozen copy of a part that
    learns.

    Raises:
        ConfigError: In distributed training without ``find_unused_parameters``, for a
            plugin that no gradient reaches. PyTorch would end the training in the next
            step, without a name.

    Example::

        custom_hooks = [dict(type='nlse_mm.CheckPluginsHook')]
    """

    def __init__(self) -> None:
        self._loaded: tuple[str, ...] = ()
        self._steps: dict[str, int] = {}  # those in question, with their steps so far
        self._handles: list[Any] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note what was loaded."""
        weights = checkpoint.get("state_dict", checkpoint)
        self._loaded = tuple(key.removeprefix("module.") for key in weights)

    def before_train(self, runner: Runner) -> None:
        """Hook each optimizer's step, to check the plugins right before it.

        After the iteration would be too late, for the gradients are gone then; and
        gradient accumulation and mixed precision leave steps out.
        """
        model = runner.model
        while isinstance(model, DistributedDataParallel):
            model = model.module
        wrapper = runner.optim_wrapper
        several = isinstance(wrapper, OptimWrapperDict)
        wrappers = list(wrapper.values()) if several else [wrapper]
        found = [getattr(w, "optimizer", None) for w in wrappers]
        optimizers = [one for one in found if isinstance(one, Optimizer)]
        # Other wrappers, such as FSDP's, train tensors that aren't the plugins' own.
        if is_model_wrapper(model) or len(optimizers) < len(wrappers):
            return

        def check(now: Optimizer, *_: Any) -> None:
            if self._steps:
                self._report(runner, self._stuck(model, now, Reasons(optimizers)))

        self._steps = dict.fromkeys(plugins_in(model), 0)
        if self._steps:
            self._handles = [o.register_step_pre_hook(check) for o in optimizers]

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks."""
        while self._handles:
            self._handles.pop().remove()

    def _stuck(
        self, model: nn.Module, now: Optimizer, reasons: Reasons
    ) -> dict[str, list[str]]:
        """Return plugins' names by the reason why they don't learn, each name once."""
        able = {
            name: [
                p for p in model.get_submodule(name).parameters() if not reasons.of(p)
            ]
            for name in self._steps
        }
        stepped = {p for group in now.param_groups for p in group["params"]}
        stuck: dict[str, list[str]] = {}
        for name, parameters in able.items():
            if parameters and stepped.isdisjoint(parameters):
                continue  # it is another optimizer's
            self._steps[name] += 1
            why = self._why(model, name, able, reasons)
            if why == _ZERO and self._steps[name] < STEPS:
                continue
            del self._steps[name]
            if why is not None:
                stuck.setdefault(why, []).append(name)
        return stuck

    def _why(
        self,
        model: nn.Module,
        name: str,
        able: dict[str, list[nn.Parameter]],
        reasons: Reasons,
    ) -> str | None:
        """Return why a plugin doesn't learn; ``able`` are the parameters that could."""
        gradients = [p.grad for p in able[name] if p.grad is not None]
        if any(gradient.any() for gradient in reversed(gradients)):
            return None
        if able[name] and not gradients:
            return _UNUSED
        if not able[name] and is_copy(model, name, [n for n in able if able[n]]):
            return None
        plugin = model.get_submodule(name)
        if zeros := reasons.layer_of_zeros(plugin):
            return f"no gradient passes its {zeros}"
        if able[name]:
            return _ZERO
        return None if self._is_meant(model, name) else reasons.of_all(plugin)

    def _is_meant(self, model: nn.Module, name: str) -> bool:
        """Say whether a frozen plugin was trained before, or works for a teacher."""
        part = getattr(model, name.partition(".")[0])
        loaded = any(key.startswith(f"{name}.") for key in self._loaded)
        return loaded or (isinstance(part, BaseModel) and not part.training)

    def _report(self, runner: Runner, stuck: dict[str, list[str]]) -> None:
        for why, names in stuck.items():
            listed = ", ".join(names)
            if why == _UNUSED and _needs_every_gradient(runner.model):
                raise ConfigError(
                    f"a plugin that several processes can't train: {listed}: {why}; "
                    "place it where its output is used, or set "
                    "find_unused_parameters=True to train without it"
                )
            runner.logger.warning(f"a plugin that does not learn: {listed}: {why}")


def _needs_every_gradient(model: nn.Module) -> bool:
    return any(
        isinstance(module, DistributedDataParallel)
        and not getattr(module, "find_unused_parameters", True)
        and not getattr(module, "static_graph", False)
        for module in model.modules()
    )
