import logging

import pytest

from nlse_mm.placement import first_batch, linear_non_local


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    said = []
    for module in (linear_non_local, first_batch):
        monkeypatch.setattr(
            module,
            "print_log",
            lambda line, logger, level=logging.INFO: said.append((level, line)),
        )
    return said
