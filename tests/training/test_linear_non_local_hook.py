"""The hook converts before the first batch of training, validation and testing."""

import copy
import re
from pathlib import Path

import pytest
import torch
from mmcv.cnn import NonLocal2d
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, METRICS
from mmengine.runner import Runner
from torch import nn

from nlse_mm.training import LinearNonLocalHook

HOOK = dict(type="nlse_mm.LinearNonLocalHook")
SAID = (
    "MMCV's non-local blocks that compute in linear memory: 1; saved in the first "
    "batch: 3.8 MiB of P x Q weights"
)
KEPT = ", kept for the backward pass"
METRIC = dict(type="MeanOfToy")


class Toy(BaseModel):
    def __init__(self, block=None):
        super().__init__()
        self.block = block or NonLocal2d(4, norm_cfg=dict(type="BN"), zeros_init=False)
        self.stem = nn.Conv2d(4, 4, 1)
        self.linear = []  # whether each batch met a converted block

    def init_weights(self):
        """Stay as built: MMCV's block would start as the identity."""

    def forward(self, inputs, data_samples=None, mode="loss"):
        self.linear.append(hasattr(self.block, "attention"))
        out = self.block(self.stem(inputs))
        return dict(loss=(out - 1).square().mean()) if mode == "loss" else [out.mean()]


@METRICS.register_module(force=True)
class MeanOfToy(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(mean=torch.stack(results).mean().item())


def images():
    generator = torch.Generator().manual_seed(3)
    return [dict(inputs=torch.randn(1, 4, 20, 50, generator=generator))] * 3


def runner(folder, hooks=(HOOK,), model=None, **kwargs):
    torch.manual_seed(1)
    loader = torch.utils.data.DataLoader(
        images(), batch_size=1, collate_fn=lambda items: items[0]
    )
    return Runner(
        model or Toy(),
        str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=kwargs.pop("max_epochs", 1)),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=METRIC,
        test_dataloader=loader,
        test_cfg=dict(),
        test_evaluator=METRIC,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        custom_hooks=list(hooks),
        default_scope="mmengine",
        experiment_name=folder.name,
        cfg=Config(dict(experiment_name="toy", **kwargs.pop("cfg", {}))),
        randomness=dict(seed=0),
        **kwargs,
    )


def lines(run):
    (path,) = Path(run.log_dir).glob("*.log")
    return re.findall(r"MMCV's non-local .*|no mmcv.cnn.*", path.read_text())


def test_it_is_in_the_registry():
    assert HOOKS.get("nlse_mm.LinearNonLocalHook") is LinearNonLocalHook


def test_training_validation_and_test_meet_only_converted_blocks(tmp_path):
    for what in ("train", "val", "test"):
        run = runner(tmp_path / what)
        getattr(run, what)()
        assert run.model.linear
        assert all(run.model.linear)
        assert lines(run) == [SAID + (KEPT if what == "train" else "")]


def test_a_training_ends_with_the_weights_it_had_without(tmp_path):
    plain, linear = (
        runner(tmp_path / str(len(hooks)), hooks, max_epochs=2)
        for hooks in ([], [HOOK])
    )
    for run in (plain, linear):
        start = copy.deepcopy(run.model.state_dict())
        run.train()
    assert not any(plain.model.linear)
    expected = plain.model.state_dict()
    for key, value in linear.model.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-5)
    assert not torch.equal(start["stem.weight"], expected["stem.weight"])


def test_checkpoints_go_both_ways_and_a_training_resumes(tmp_path):
    first = runner(tmp_path / "first")
    first.train()
    path = str(tmp_path / "first" / "epoch_1.pth")
    resumed = runner(tmp_path / "more", max_epochs=2, load_from=path, resume=True)
    resumed.train()
    assert resumed.epoch == 2
    assert len(resumed.model.linear) == 6  # a training's and a validation's epoch
    found = [
        runner(tmp_path / f"test{len(hooks)}", hooks, load_from=path).test()["mean"]
        for hooks in ([], [HOOK])
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("first", [True, False])
def test_a_moving_average_is_of_the_same_parameters(tmp_path, first):
    averaging = dict(type="EMAHook", momentum=0.5)
    run = runner(tmp_path, [HOOK, averaging] if first else [averaging, HOOK])
    run.train()
    (hook,) = (h for h in run.hooks if isinstance(h, EMAHook))
    assert hasattr(hook.ema_model.module.block, "attention")
    averaged = dict(hook.ema_model.module.named_parameters())
    assert averaged.keys() == dict(run.model.named_parameters()).keys()
    assert len(lines(run)) == 1


def test_a_compiled_training_says_the_number(tmp_path):
    torch._dynamo.reset()
    run = runner(tmp_path, cfg=dict(compile=dict(backend="eager")))
    run.train()
    (line,) = lines(run)
    assert line.startswith(SAID[:57])


def test_a_model_without_blocks_is_warned_of_and_trains(tmp_path):
    run = runner(tmp_path, model=Toy(nn.Conv2d(4, 4, 1)))
    run.train()
    why = "no mmcv.cnn.NonLocal1d, NonLocal2d or NonLocal3d to convert in Toy"
    assert lines(run) == [why]


def test_its_statistics_can_be_logged(tmp_path):
    statistics = dict(type="nlse_mm.AttentionStatisticsHook", interval=1)
    run = runner(tmp_path, [statistics, HOOK])
    run.train()
    assert "train/attention/block/entropy" in run.message_hub.log_scalars
