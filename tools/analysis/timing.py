"""Times of several steps, taken in turns, and what they were taken on."""

import datetime
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def rounds(
    steps: Mapping[str, Callable[[], None]], number: int, limit: float = float("inf")
) -> dict[str, list[float]]:
    """Time ``steps`` one after the other, again and again.

    Whatever slows the machine for a while slows all of them, so the ratios of the
    times of one round are steadier than the times.

    Args:
        steps: What to time, by name.
        number: Rounds, after one of warming up.
        limit: Seconds after which no further round begins, once there were two. Where
            there is nothing to compare, the round of warming up may be the only one.

    Returns:
        Seconds of each step in each round.
    """
    seconds = {name: [] for name in steps}
    started = time.perf_counter()
    least = 3 if len(steps) > 1 else 1
    for done in range(number + 1):
        if done >= least and time.perf_counter() - started > limit:
            break
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: own[1:] or own for name, own in seconds.items()}


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def autocast(x: torch.Tensor, enabled: bool = True) -> torch.autocast:
    """Bfloat16 autocast on the device of ``x``."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=enabled)


def machine(device: str) -> str:
    """Today's date and the processor: ``2026-11-21, <name>, 2 cores``."""
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = f"{_cpu_name()}, {torch.get_num_threads()} cores"
    return f"{datetime.date.today()}, {name}"


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()
