"""Measure the peak memory of a step, on a CPU or a GPU."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

Step = Callable[[], object]
Steps = tuple[Step, Step]  # one that warms up, and one that is measured
Prepare = Callable[..., Steps]
Peak = tuple[float, float]  # MiB before a step, and the most during it


def peak_mib(prepare: Prepare, device: str, *arguments: object) -> Peak:
    """Return the MiB before a step and at its peak, in a fresh process.

    ``prepare``, a function of a module, makes the steps from ``device`` and
    ``arguments``.
    """
    torch.cuda.empty_cache()  # else what is free here is taken, for another process
    start = (get_context("spawn"), torch.set_num_threads, (torch.get_num_threads(),))
    with ProcessPoolExecutor(1, *start) as pool:
        return pool.submit(peak_here, prepare, device, *arguments).result()


def peak_here(prepare: Prepare, device: str, *arguments: object) -> Peak:
    """Return what :func:`peak_mib` does, where freed memory may hide some of it."""
    before: Callable[[], int]
    most: Callable[[], int]
    warm_up, step = prepare(device, *arguments)
    warm_up()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before, most = torch.cuda.memory_allocated, torch.cuda.max_memory_allocated
    else:
        Path("/proc/self/clear_refs").write_text("5")  # falls to what is used now
        before = most = _high_water
    start = before()
    step()
    return start / 2**20, most() / 2**20


def _high_water() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
