"""Train in ``FOLDER/HOOK/1``, ``/2`` ..., killed at the n-th moment of saving.

    python die_at_each_moment.py FOLDER HOOK [HOOK]

A moment is a call of ``torch.save``, or one that changes the disk. What was written but
not yet brought to the disk is lost. The last training gets through.
"""

import os
import stat
import sys
import tempfile

import torch
from conftest import make_runner

FOLDER, *HOOKS = sys.argv[1:]


def die_at(moment):
    """Kill this process at the ``moment``-th call."""
    calls = 0

    def dying(function):
        def wrapped(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == moment:
                is_fd = function is fsync
                if is_fd and stat.S_ISREG(os.fstat(args[0]).st_mode):
                    os.ftruncate(args[0], 100)
                os._exit(9)
            return function(*args, **kwargs)

        return wrapped

    fsync = os.fsync
    os.fsync = dying(os.fsync)
    os.replace = dying(os.replace)
    os.remove = dying(os.remove)
    torch.save = dying(torch.save)


def train(folder, hook):
    checkpoint = dict(max_keep_ckpts=1, save_best="acc", rule="greater")
    make_runner(folder, hook=hook, checkpoint=checkpoint).train()


with tempfile.TemporaryDirectory() as warm_up:  # all imports, once for all children
    train(warm_up, HOOKS[0])
for hook in HOOKS:
    moment, killed = 0, True
    while killed:
        moment += 1
        child = os.fork()
        if child == 0:
            die_at(moment)
            train(f"{FOLDER}/{hook}/{moment}", hook)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
