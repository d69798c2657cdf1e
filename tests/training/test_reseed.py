"""OneDL's iteration loop skips the batches of a resumed training by one call."""

import copy
import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from nlse_mm.training.evaluate_finished import EvaluateFinishedHook
from nlse_mm.training.reseed import ReseedHook
from nlse_mm.training.seed_worker import seed_worker


class Noise(torch.utils.data.Dataset):
    """Number, and a random number of each generator."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return i, random.random(), np.random.rand(), torch.rand(1).item()


def runner(workers=0, iteration=0):
    """As much of a Runner as the hooks ask for, before an iteration-based training."""
    data = DataLoader(
        Noise(),
        batch_size=2,
        sampler=InfiniteSampler(Noise(), seed=0),
        num_workers=workers,
        worker_init_fn=seed_worker,
    )
    runner = SimpleNamespace(rank=0, logger=logging.getLogger())
    torch.manual_seed(0)  # PyTorch's loader may draw the data workers' seed at once
    runner.train_loop = IterBasedTrainLoop(runner, data, max_iters=9)
    runner.train_loop._iter = iteration
    return runner


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_batches_leave_the_next_ones_as_fetched_batches_do(workers):
    whole, resumed = (runner(workers) for _ in range(2))
    for each in (whole, resumed):
        ReseedHook(seed=3).before_train(each)
    batches = whole.train_loop.dataloader_iterator
    fetched = [copy.deepcopy(next(batches)) for _ in range(6)]
    batches = resumed.train_loop.dataloader_iterator
    batches.skip_iter(4)
    for batch in fetched[4:]:
        assert all(map(torch.equal, next(batches), batch))


def test_a_finished_training_skips_without_fetching():
    finished = runner(iteration=9)
    EvaluateFinishedHook().before_train(finished)
    batches = finished.train_loop.dataloader_iterator
    batches.skip_iter(9)
    assert next(batches) is None
