"""A training of one linear layer, whose checkpoints hold all that MMEngine's can.

And a web to download from, or none.
"""

import os
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import METRICS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Numbers(Dataset):
    metainfo = dict(
        classes=("cat", "dog"),
        palette=np.array([[1, 2, 3], [4, 5, 6]]),
        joints=ConfigDict(nose=dict(id=0, swap="")),
    )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.full((3,), float(index)))


class Linear(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, inputs, mode):
        out = self.linear(inputs).square().mean()
        return dict(loss=out) if mode == "loss" else [out]


@METRICS.register_module(force=True)
class Rising(BaseMetric):
    """Better at each evaluation; a NumPy scalar, as mmseg's metrics give."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.calls = getattr(self, "calls", 0) + 1
        return dict(acc=np.float64(self.calls))


def make_runner(work_dir, epochs=2, hook="nlse_mm.CheckpointHook", **changes):
    """A Runner in ``work_dir``; hook arguments in ``changes['checkpoint']``."""
    checkpoint = dict(type=hook, interval=1) | changes.pop("checkpoint", {})
    settings = dict(
        model=Linear(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(Numbers(), batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_dataloader=DataLoader(Numbers(), batch_size=2),
        val_cfg=dict(),
        val_evaluator=dict(type="Rising"),
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.1)),
        param_scheduler=[
            dict(type="OneCycleLR", eta_max=0.1, total_steps=200, by_epoch=False)
        ],
        default_hooks=dict(checkpoint=checkpoint),
        log_level="ERROR",
        experiment_name=f"{work_dir}-{epochs}-{len(MessageHub._instance_dict)}",
    )
    return Runner(**settings | changes)


@pytest.fixture
def runner():
    """``make_runner``, and none of MMEngine's global instances left afterwards."""
    yield make_runner
    for manager in (MessageHub, MMLogger, Visualizer):
        manager._instance_dict.clear()


@pytest.fixture(scope="session")
def real_checkpoint(tmp_path_factory):
    """What MMEngine's own hook wrote: ``epoch_2.pth`` of a short training."""
    work_dir = tmp_path_factory.mktemp("stock")
    save_best = dict(save_best="acc", rule="greater")
    make_runner(work_dir, hook="CheckpointHook", checkpoint=save_best).train()
    return work_dir / "epoch_2.pth"


@pytest.fixture
def log(monkeypatch):
    """The lines that ``print_log`` was given."""
    lines = []
    for module in ("loading.config_text", "coverage.check", "loading.resume"):
        monkeypatch.setattr(
            f"nlse_mm.checkpoint.{module}.print_log", lambda msg, **_: lines.append(msg)
        )
    return lines


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub folder; its ``checkpoints`` is where downloads go."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("MMENGINE_HOME", str(tmp_path / "mmengine"))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(request, *_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", refuse)


@pytest.fixture
def web(monkeypatch, tmp_path):
    """A folder that stands for the whole web, and the URLs that were asked for."""
    asked, folder = [], tmp_path / "web"
    folder.mkdir()
    real = urllib.request.urlopen

    def serve(request, *_, **__):
        asked.append(request.full_url)
        return real((folder / os.path.basename(request.full_url)).as_uri())

    monkeypatch.setattr("torch.hub.urlopen", serve)
    return folder, asked
