"""Write what ``train.py``'s options ask for into a config."""

from mmengine.config import Config
from mmengine.device import get_device

from nlse_mm.errors import ConfigError


def set_amp(cfg: Config, amp: bool) -> None:
    """Set mixed precision up; refuse it, the config's too, where it can't be had."""
    wrapper = cfg.optim_wrapper
    if amp and wrapper.get("type", "OptimWrapper") == "OptimWrapper":
        wrapper.type = "AmpOptimWrapper"
        wrapper.loss_scale = "dynamic"
    is_amp = wrapper.get("type") == "AmpOptimWrapper"
    if amp and not is_amp:
        raise ConfigError(
            f"--amp works with optim_wrapper.type='OptimWrapper', not {wrapper.type!r}"
        )
    if is_amp and get_device() == "cpu":
        what = "--amp" if amp else "optim_wrapper.type='AmpOptimWrapper'"
        raise ConfigError(f"{what} needs a GPU, and PyTorch sees none here")


def set_lr_scaling(cfg: Config) -> None:
    """Let the Runner scale the learning rate."""
    scaling = cfg.get("auto_scale_lr") or {}
    if "base_batch_size" not in scaling:
        raise ConfigError(
            "--auto-scale-lr needs auto_scale_lr.base_batch_size in the config: the "
            "total batch size that its learning rate is for"
        )
    cfg.auto_scale_lr = dict(scaling, enable=True)


def set_checkpoint_hook(cfg: Config) -> None:
    """Take our hook, which writes a checkpoint whole; a user's own stays."""
    hooks = cfg.get("default_hooks") or {}
    saver = dict(hooks.get("checkpoint") or dict(type="CheckpointHook", interval=1))
    if saver.get("type") == "CheckpointHook":
        saver["type"] = "nlse_mm.CheckpointHook"
    cfg.default_hooks = dict(hooks, checkpoint=saver)
