"""A training that takes a second and uses every kind of random number.

Flips by Python's, noise by NumPy's and by PyTorch's generator in the data workers;
dropout in the main process; BatchNorm, whose statistics differ between processes.
"""

import os
import random
import signal

import numpy as np
import torch
from mmcv.cnn import build_norm_layer
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import nn
from torch.utils.data import Dataset

from nlse_mm.registry import MODELS as OURS


def note_this_process():
    with open(os.environ["TOY_LOG"], "a") as log:
        log.write(f"{os.getpid()}\n")


@DATASETS.register_module()
class ToyImages(Dataset):
    def __init__(self, length, augment):
        self.augment = augment
        self.images = torch.rand(
            length, 3, 6, 5, generator=torch.Generator().manual_seed(1)
        )
        self.metainfo = {}

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        if torch.utils.data.get_worker_info():
            note_this_process()
        image = self.images[i]
        if not self.augment:
            return dict(inputs=image)
        if random.random() < 0.5:
            image = image.flip(-1)
        image = image + 0.1 * np.random.rand() + 0.1 * torch.randn(image.shape)
        return dict(inputs=image)


@MODELS.register_module()
class ToyModel(BaseModel):
    """``die_at=9``: the first process dies in its ninth step, as by kill -9."""

    def __init__(self, norm_cfg=None, channels=4, die_at=None):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, channels, 3),
            build_norm_layer(norm_cfg or dict(type="BN"), channels)[1],
            nn.ReLU(),
            nn.Dropout(0.3),
        )
        self.head = nn.Conv2d(channels, 1, 1)
        self.die_at = die_at
        self.steps = 0

    def forward(self, inputs, mode="tensor"):
        result = self.head(self.body(torch.stack(list(inputs))))
        if mode != "loss":
            return [dict(value=float(v.mean())) for v in result]
        self.steps += 1
        if self.die_at == self.steps and get_rank() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return dict(loss=(result - 1).square().mean())

    def train_step(self, data, optim_wrapper):
        note_this_process()
        return super().train_step(data, optim_wrapper)


@MODELS.register_module()
class ToyPyramid(BaseModel):
    """A loss of a backbone's last map, as of a neck that leaves out the others."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = MODELS.build(backbone)

    def forward(self, inputs, mode="tensor"):
        last = self.backbone(torch.stack(list(inputs)))[-1]
        return dict(loss=(last - 1).square().mean())


@METRICS.register_module()
class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [s["value"] for s in data_samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))


@OURS.register_module()
class Faulty(nn.Module):
    _abbr_ = "faulty"

    def __init__(self, in_channels):
        super().__init__()
        self.gone = {}["a fault of the program"]
