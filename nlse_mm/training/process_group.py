"""Start the processes' group before the Runner does, with a GPU or without."""

import os
import subprocess
from datetime import timedelta

import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import init_dist
from mmengine.logging import print_log
from mmengine.utils.dl_utils import set_multi_processing

from nlse_mm.errors import ConfigError

# launcher: environment variables of rank, local rank and number of processes
_ENVIRONMENT = {
    "pytorch": ("RANK", "LOCAL_RANK", "WORLD_SIZE"),
    "slurm": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS"),
    "mpi": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_SIZE",
    ),
}
_SYNC_BN = ("SyncBN", "MMSyncBN")


def start_process_group(cfg: Config) -> None:
    """Join the group that ``cfg.launcher`` started; do nothing for ``'none'``.

    MMEngine's ``init_dist`` sets a CUDA device whatever the backend. Without a GPU this
    starts gloo instead, and prepares ``cfg`` for it: the wrapper gets
    ``device_ids=None``, and SyncBN, which is CUDA's, becomes BN.

    Raises:
        ConfigError: If the launcher did not start this process, or if there are fewer
            GPUs than processes on this machine.
    """
    if cfg.launcher == "none":
        return
    names = _ENVIRONMENT[cfg.launcher]
    absent = [name for name in names if name not in os.environ]
    if absent:
        raise ConfigError(
            f"--launcher {cfg.launcher} needs {', '.join(absent)} in the environment, "
            "which the launcher sets: start several processes with "
            "tools/dist_train.sh, tools/dist_test.sh or the slurm_*.sh beside them, "
            "one process without --launcher"
        )
    env_cfg = cfg.get("env_cfg", {})
    set_multi_processing(**env_cfg.get("mp_cfg", {}), distributed=True)
    if get_device() == "cpu":
        _start_gloo(cfg, names, env_cfg.get("dist_cfg", {}).get("timeout"))
        return
    local_rank = int(os.environ[names[1]])
    if get_device() == "cuda" and local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank + 1} of this machine has no GPU: there are "
            f"{torch.cuda.device_count()}"
        )
    init_dist(cfg.launcher, **env_cfg.get("dist_cfg", {}))


def is_first_here(cfg: Config) -> bool:
    """Say whether this is the first of this machine's processes, group or not yet."""
    names = _ENVIRONMENT.get(cfg.get("launcher", "none"))
    return names is None or os.environ.get(names[1], "0") == "0"


def _start_gloo(cfg: Config, names: tuple[str, ...], timeout: int | None) -> None:
    for ours, theirs in zip(_ENVIRONMENT["pytorch"], names, strict=True):
        os.environ[ours] = os.environ[theirs]
    os.environ.setdefault("MASTER_PORT", "29500")
    if cfg.launcher == "slurm" and "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _first_slurm_node()
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    if os.environ["RANK"] == "0":
        print_log("No GPU: distributed on the CPU, over gloo.", logger="current")
    if timeout is None:
        torch.distributed.init_process_group("gloo")
    else:
        limit = timedelta(seconds=timeout)
        torch.distributed.init_process_group("gloo", timeout=limit)
    if cfg.get("model_wrapper_cfg") is None:
        cfg.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel",
            broadcast_buffers=False,
            find_unused_parameters=cfg.get("find_unused_parameters", False),
        )
    if "DistributedDataParallel" in cfg.model_wrapper_cfg.get("type", ""):
        cfg.model_wrapper_cfg.device_ids = None
    replaced = _without_sync_bn(cfg.model)
    if cfg.pop("sync_bn", None) is not None or replaced:
        print_log("No GPU: SyncBN is replaced by BN.", logger="current")


def _first_slurm_node() -> str:
    command = ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]]
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.split()[0]


def _without_sync_bn(node: object) -> int:
    """Replace SyncBN anywhere below ``node``, in place; return how many there were."""
    if not isinstance(node, (dict, list, tuple)):
        return 0
    children = node.values() if isinstance(node, dict) else node
    count = sum(_without_sync_bn(child) for child in children)
    if isinstance(node, ConfigDict) and node.get("type") in _SYNC_BN:
        node["type"] = "BN"
        count += 1
    return count
