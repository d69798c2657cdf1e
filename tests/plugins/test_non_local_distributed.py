"""The non-local block in DistributedDataParallel, over two processes."""

import copy
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from nlse_mm.plugins import NonLocal2d
from nlse_mm.plugins.non_local import MODES


def gradients(block, x):
    (block(x).square().sum() / len(x)).backward()
    return [p.grad for p in block.parameters()]


def _work(rank, store, blocks, x, path):
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    wrapped = [DistributedDataParallel(block) for block in blocks]
    found = [gradients(block, x[rank::2]) for block in wrapped]
    if rank == 0:
        torch.save(found, path)
    dist.barrier()
    # Not through the destructors: DDP's waits, with the interpreter's lock, for Gloo's
    # thread, which may be waiting for the lock (PyTorch 2.13).
    os._exit(0)


@pytest.mark.parametrize("sub_sample", [False, True])
def test_two_processes_average_to_the_gradients_of_one(sub_sample, tmp_path):
    blocks = [
        NonLocal2d(8, mode=mode, sub_sample=sub_sample, zeros_init=False, std=0.4)
        for mode in MODES
    ]
    x = torch.randn(4, 8, 6, 5)
    path = tmp_path / "gradients.pth"
    mp.spawn(_work, (tmp_path / "store", copy.deepcopy(blocks), x, path), nprocs=2)
    for block, found in zip(blocks, torch.load(path), strict=True):
        for own, theirs in zip(gradients(block, x), found, strict=True):
            torch.testing.assert_close(theirs, own, rtol=1e-4, atol=1e-5)
