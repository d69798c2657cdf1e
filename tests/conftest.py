"""What several tests share: the active toolbox, and a plugin whose effect is seen."""

import logging
import sys
import warnings

import affine_plugin  # noqa: F401 (registers nlse_mm.Affine)
import pytest
import torch
from mmengine.registry import DefaultScope

warnings.filterwarnings("ignore")


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(autouse=True)
def _log_again():
    """Tools switch the log off for their process, which here is the tests'."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _nothing_compiled():
    """Dynamo compiles few versions of a function: other tests' are forgotten."""
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


@pytest.fixture(autouse=True)
def _same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _single_precision():
    """A GPU's convolutions have three digits by default, and the tests ask for more."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def conversion_log(monkeypatch):
    """What converting MMCV's blocks logs: the level and the line of each."""
    from nlse_mm.placement import first_batch, linear_non_local

    said = []
    for module in (linear_non_local, first_batch):
        monkeypatch.setattr(
            module,
            "print_log",
            lambda line, logger, level=logging.INFO: said.append((level, line)),
        )
    return said


@pytest.fixture(params=["mmdet", "mmseg"])
def toolbox(request):
    """Each toolbox in turn, as the default scope; its absence skips the test."""
    pytest.importorskip(request.param)
    with DefaultScope.overwrite_default_scope(request.param):
        yield request.param


@pytest.fixture
def in_mmdet():
    pytest.importorskip("mmdet")
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


@pytest.fixture
def in_mmpretrain():
    """MMPretrain as the default scope; the test is skipped where it can't be used."""
    from nlse_mm.toolbox import why_broken

    pytest.importorskip("mmpretrain")
    if why := why_broken("mmpretrain", "MODELS", "DATASETS"):
        pytest.skip(why)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        yield
