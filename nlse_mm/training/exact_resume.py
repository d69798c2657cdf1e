"""Turn a config into one whose training can be killed and resumed exactly."""

import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process, sync_random_seed
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader

from nlse_mm.checkpoint import latest_complete
from nlse_mm.errors import ConfigError

from .config import add_hook, is_file_or_remote


def set_resume(cfg: Config, resume: str | None) -> None:
    """Write into ``cfg`` which checkpoint to go on from; call it in every process.

    Args:
        cfg: With ``work_dir``; ``cfg.resume`` means what ``resume`` does.
        resume: None, ``'auto'`` for the newest complete checkpoint of the work folder,
            or the path of a checkpoint. With nothing to resume, ``'auto'`` starts anew,
            with ``cfg.load_from`` where there is one.

    Raises:
        ConfigError: If the path doesn't exist.
    """
    if resume is None and cfg.get("resume"):
        resume = cfg.get("load_from") or "auto"
    if resume is None:
        _check_exists(cfg.get("load_from"), "load_from")
        return
    if resume == "auto":
        found = [latest_complete(cfg.work_dir) if is_main_process() else None]
        broadcast_object_list(found)
        resume = found[0]
        if resume is None:
            print_log(f"{cfg.work_dir} holds nothing to resume", logger="current")
    _check_exists(resume, "--resume")
    cfg.resume = resume is not None
    if resume is not None:
        cfg.load_from = resume


def _check_exists(path: str | None, key: str) -> None:
    if path is not None and not is_file_or_remote(path):
        raise ConfigError(f"{key}: {path} does not exist (seen from {Path.cwd()})")


def make_reproducible(cfg: Config) -> None:
    """Fix the seed, and make every random number follow from it.

    The seed is the resumed checkpoint's, else the config's, else a random one that all
    processes share. It is known before anything is built, for a sampler keeps the seed
    that it was built with. Call after ``set_resume``.
    """
    randomness = cfg.get("randomness") or {}
    seed = _resumed_seed(cfg) if cfg.get("resume") else None
    wanted = randomness.get("seed")
    if seed is not None and wanted not in (None, seed):
        print_log(
            f"{cfg.load_from} was trained with seed {seed}, which is taken; "
            f"randomness.seed={wanted} is not",
            logger="current",
            level=logging.WARNING,
        )
    if seed is None:
        seed = sync_random_seed() if wanted is None else wanted
    cfg.randomness = dict(randomness, seed=seed)
    add_hook(cfg, type="nlse_mm.ReseedHook", seed=seed)
    add_hook(cfg, type="nlse_mm.AverageBuffersHook")
    # Persistent workers go on with random numbers that nothing saves.
    cfg.train_dataloader["persistent_workers"] = False
    for part in ("train", "val", "test"):
        if cfg.get(f"{part}_dataloader"):
            _seed_workers(cfg[f"{part}_dataloader"])


def _resumed_seed(cfg: Config) -> int | None:
    checkpoint = CheckpointLoader.load_checkpoint(cfg.load_from, map_location="cpu")
    meta = checkpoint.get("meta") or {}
    if "optimizer" not in checkpoint or "iter" not in meta:
        raise ConfigError(
            f"{cfg.load_from} can't be resumed: it holds weights without the state of "
            "a training; load_from=PATH starts a training from weights"
        )
    return meta.get("seed")


def _seed_workers(loader: dict[str, Any]) -> None:
    if "worker_init_fn" not in loader:
        function = dict(type="nlse_mm.seed_worker")
        if "disable_subprocess_warning" in loader:
            name = "disable_subprocess_warning"
            function[name] = loader.pop(name)
        loader["worker_init_fn"] = function
