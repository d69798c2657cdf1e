"""Let no process outlive the one that started it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with(parent: int) -> None:
    """Have Linux kill this process when its parent dies, however that happens.

    ``kill -9`` leaves a training no moment to stop its data workers, which then wait
    for minutes with 0.5 to 1 GB each. On other systems this does nothing.

    Args:
        parent: Process id of the parent. If it is already dead, this process ends at
            once: Linux sends no signal for a death before the request.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def die_with_torchrun() -> None:
    """End this process with torchrun's agent, if that is what started it.

    A training that was started by a shell must be able to outlive it, so only
    torchrun's children do this. The launch scripts note the agent's process id.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        die_with(int(os.environ.get("NLSE_MM_AGENT", os.getppid())))
