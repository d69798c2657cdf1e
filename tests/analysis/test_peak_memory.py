"""The peak of a step is its own, on a CPU and on a GPU."""

import pytest
import torch

from nlse_mm.analysis.peak_memory import peak_here, peak_mib

MIB = 2**20


def prepare(device, warm_mib, mib):
    def allocate(number):
        return torch.ones(number * MIB, dtype=torch.uint8)

    return lambda: allocate(warm_mib), lambda: allocate(mib)


@pytest.mark.parametrize("warm_mib", [1, 200])
def test_a_peak_is_that_of_the_step_and_not_of_what_was_before_it(warm_mib):
    before, most = peak_mib(prepare, "cpu", warm_mib, 64)
    assert 63 < most - before < 70
    assert before > 50  # PyTorch itself


def test_a_gpus_peak_is_the_allocators_since_the_warm_up(monkeypatch):
    held, peak = [0], [0]

    def allocate(mib):
        held[0] += mib * MIB
        peak[0] = max(peak[0], held[0])

    def fake(device, weights, warm_mib, mib):
        allocate(weights)

        def step(size):
            allocate(size)
            allocate(-size)

        return lambda: step(warm_mib), lambda: step(mib)

    reset = "reset_peak_memory_stats"
    monkeypatch.setattr(torch.cuda, reset, lambda: peak.__setitem__(0, held[0]))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: held[0])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peak[0])
    assert peak_here(fake, "cuda", 10, 500, 64) == (10.0, 74.0)
