"""Worker seeding, and the end of a worker whose parent is gone."""

import multiprocessing
import os
import random
import warnings

import numpy as np
import torch

from nlse_mm.arguments import checked
from nlse_mm.registry import FUNCTIONS

from .parent import die_with


def seed_everything(*entropy: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices) with a mixture of the integers."""
    words = np.random.SeedSequence(entropy).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]) << 32 | int(words[3]))


@FUNCTIONS.register_module()
@checked(at_least=dict(worker_id=0))
def seed_worker(worker_id: int, disable_subprocess_warning: bool = False) -> None:
    """Seed a data worker by the epoch, too; and let it die with its parent.

    MMEngine's own function seeds with ``seed + worker`` alone, so that with workers
    that are started anew every epoch repeats the first one's augmentation, and with
    persistent ones a resumed training can't go on where the killed one was. PyTorch's
    seed of a worker comes from the main process's random numbers, which ``ReseedHook``
    ties to seed, epoch and process.

    Args:
        worker_id: Number of the worker, from 0.
        disable_subprocess_warning: Silence the warnings of all workers but the first.

    Example::

        train_dataloader = dict(worker_init_fn=dict(type='nlse_mm.seed_worker'))
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)
    # The iteration loop starts its workers before any hook runs, with the same
    # numbers in every process: the rank distinguishes them.
    seed_everything(torch.initial_seed(), int(os.environ.get("RANK", 0)))
    if disable_subprocess_warning and worker_id != 0:
        warnings.simplefilter("ignore")
