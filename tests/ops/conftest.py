"""The operations are tested on the CPU, and where there is a GPU on it as well."""

from contextlib import nullcontext

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def each_device(request):
    """What a test makes without naming a device is on this one."""
    with nullcontext() if request.param == "cpu" else torch.device(request.param):
        yield request.param
