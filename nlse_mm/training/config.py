"""Turn a command line into a config: what training and testing have in common."""

import argparse
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from nlse_mm.config_file import read_config
from nlse_mm.environment.import_errors import reason
from nlse_mm.environment.packages import check_one_set, how_to_install
from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import installed, why_broken

from .command_line import add_cfg_options


def parser_with_common_arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of both MMDetection's train.py and test.py."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="the config file")
    parser.add_argument(
        "--work-dir",
        help="where logs and checkpoints go; by default the config's work_dir, or "
        "work_dirs/NAME-OF-THE-CONFIG",
    )
    add_cfg_options(parser)
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="what started the processes; tools/dist_*.sh and slurm_*.sh set it",
    )
    parser.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS
    )
    return parser


# What the launchers and MMEngine's Runner read before anything is built.
_SECTIONS = (
    *("model", "optim_wrapper", "default_hooks", "env_cfg", "randomness"),
    *("train_dataloader", "val_dataloader", "test_dataloader", "auto_scale_lr"),
    *("train_cfg", "val_cfg", "test_cfg"),
)
# What MMEngine says of a base whose toolbox it can't find.
_MISSING = re.compile(r"(\S+) is not installed, please install ")
_COUNTS = ("max_epochs", "max_iters", "val_interval")


def load_config(
    args: argparse.Namespace, task: str = "", needs: Iterable[str] = ()
) -> Config:
    """Read the config of a command line; set its ``work_dir`` and ``launcher``.

    Args:
        args: The command line.
        task: What needs the config, such as ``'a training'``.
        needs: The keys without which there is no such task.

    Raises:
        ConfigError: If it can't be read, lacks a key, or names a toolbox that isn't
            installed or that can't be imported; or if two distributions hold one
            package.
    """
    check_one_set()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    path = Path(args.config)
    if not path.is_file():
        raise ConfigError(f"the config {path} does not exist (seen from {Path.cwd()})")
    # MMEngine imports pkg_resources anew for each config, which warns each time.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    try:
        cfg = read_config(path)
    except Exception as error:  # a config is a program: anything may come out of it
        said = reason(error)
        if missing := _MISSING.match(str(error)):
            said += how_to_install(missing[1])
        raise ConfigError(f"the config {path} can't be read: {said}") from error
    _merge(cfg, args.cfg_options)
    scope = cfg.get("default_scope") or "mmengine"
    if not installed(scope):
        raise ConfigError(
            f"{path} has default_scope='{scope}', and {scope} is not "
            f"installed{how_to_install(scope)}"
        )
    if why := why_broken(scope, "MODELS", "DATASETS"):
        raise ConfigError(f"{path} has default_scope='{scope}', and {why}")
    if "model" not in cfg:
        raise ConfigError(f"the config {path} has no model")
    for key in needs:
        if cfg.get(key) is None:
            raise ConfigError(f"{path} has no {key}, which {task} needs")
    _check_sections(cfg)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / path.stem)
    return cfg


def _check_sections(cfg: Config) -> None:
    """Refuse a part of the config that isn't made of settings, or counts nothing."""
    parts = {key: cfg.get(key) for key in _SECTIONS}
    hooks = parts["default_hooks"]
    if isinstance(hooks, dict):
        parts |= {f"default_hooks.{name}": hook for name, hook in hooks.items()}
    for key, value in parts.items():
        if isinstance(value, str | int | float):
            raise ConfigError(f"{key}={value!r} is not a dict of settings")
    loop = cfg.get("train_cfg") or {}
    for name in _COUNTS:
        count = loop.get(name)
        if count is not None and (type(count) is not int or count < 1):
            raise ConfigError(f"train_cfg.{name}={count!r} is not an integer above 0")
    if not isinstance(cfg.get("load_from"), str | Path | None):
        raise ConfigError(
            f"load_from={cfg.load_from!r} is not the path of a checkpoint"
        )


def _merge(cfg: Config, options: dict[str, Any]) -> None:
    for key, value in options.items():
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"--cfg-options {key}={value!r} doesn't fit the config: {error}"
            ) from error


def add_hook(cfg: Config, **hook: Any) -> None:
    """Add a custom hook, in place of one of its type that a dumped config holds."""
    others = [
        h
        for h in cfg.get("custom_hooks") or []
        if not (isinstance(h, dict) and h.get("type") == hook["type"])
    ]
    cfg.custom_hooks = [*others, hook]


def is_file_or_remote(path: str) -> bool:
    """Say whether a checkpoint's path can be tried: a file, ``http://`` and such."""
    return "://" in path or Path(path).expanduser().is_file()
