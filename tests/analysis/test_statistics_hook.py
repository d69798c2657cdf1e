"""Training logs the statistics, and is otherwise the same training."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from nlse_mm.analysis import AttentionStatisticsHook
from nlse_mm.analysis.statistics import FIELDS, measure
from nlse_mm.plugins import NonLocal2d


class Toy(BaseModel):
    def __init__(self, block):
        super().__init__()
        self.block = block
        self.seen = []

    def forward(self, inputs, data_samples=None, mode="loss"):
        state = {k: v.clone() for k, v in self.block.state_dict().items()}
        self.seen.append((state, inputs))
        noise = torch.rand(())  # a training that uses random numbers
        return dict(loss=(self.block(inputs) - 1).square().mean() * (1 + noise))


def images():
    generator = torch.Generator().manual_seed(3)
    return [dict(inputs=torch.randn(2, 4, 5, 7, generator=generator)) for _ in range(7)]


def train(tmp_path, block, **hook):
    runner = Runner(
        Toy(block),
        str(tmp_path),
        train_dataloader=torch.utils.data.DataLoader(
            images(), batch_size=1, collate_fn=lambda items: items[0]
        ),
        train_cfg=dict(by_epoch=False, max_iters=7),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        custom_hooks=[dict(type="nlse_mm.AttentionStatisticsHook", **hook)]
        if hook
        else [],
        default_hooks=dict(checkpoint=None, logger=dict(type="LoggerHook", interval=3)),
        default_scope="mmengine",
        experiment_name=f"toy-{tmp_path.name}-{bool(hook)}",
        cfg=Config(dict(experiment_name="toy")),
        log_level="WARNING",
        randomness=dict(seed=0),
    )
    runner.train()
    return runner


def block(**kwargs):
    torch.manual_seed(1)
    return NonLocal2d(4, norm_cfg=dict(type="BN"), std=0.3, **kwargs)


def test_the_log_has_what_the_meter_finds(tmp_path):
    runner = train(tmp_path, block(zeros_init=False), interval=3, queries=50)
    scalars = {
        key.removeprefix("train/attention/block/"): buffer
        for key, buffer in runner.message_hub.log_scalars.items()
        if key.startswith("train/attention/")
    }
    assert set(scalars) == {"output", "rows", "entropy", "distance"}
    history, _ = scalars["entropy"].data
    assert len(history) == 2  # of iterations 3 and 6
    written = (tmp_path / runner.timestamp / "vis_data" / "scalars.json").read_text()
    assert "attention/block/entropy" in written

    for (entropy, distance), (state, x) in zip(
        zip(history, scalars["distance"].data[0], strict=True),
        runner.model.seen[2::3],
        strict=True,
    ):
        same = block(zeros_init=False)
        same.load_state_dict(state)
        at = torch.arange(5 * 7)
        expected = measure(same, x[:1], same(x)[:1], at, (1.0, 1.0)).tolist()
        values = dict(zip(FIELDS, expected, strict=True))
        assert entropy == pytest.approx(values["entropy"])
        assert distance == pytest.approx(values["distance"])


def test_the_training_stays_the_same_bit_for_bit(tmp_path):
    plain = train(tmp_path / "plain", block()).model.state_dict()
    measured = train(tmp_path / "measured", block(), interval=1).model.state_dict()
    assert all(torch.equal(plain[key], measured[key]) for key in plain)
    assert not torch.equal(plain["block.g.conv.weight"], block().g.conv.weight)


def test_nothing_stays_on_the_model(tmp_path):
    runner = train(tmp_path, block(), interval=1)
    assert not any(m._forward_hooks for m in runner.model.modules())


@pytest.mark.parametrize("kwargs", [dict(interval=0), dict(queries=1)])
def test_a_wrong_number_is_refused(kwargs, tmp_path):
    with pytest.raises(ValueError, match="is not an integer of at least"):
        train(tmp_path, block(), **kwargs)


def test_a_model_without_blocks_is_refused_before_training(tmp_path):
    model = nn.Conv2d(4, 4, 1)
    with pytest.raises(ValueError, match=r"Toy has no nlse_mm\.NonLocal2d block"):
        train(tmp_path, model, interval=1)


def test_it_is_in_the_registry():
    assert HOOKS.get("nlse_mm.AttentionStatisticsHook") is AttentionStatisticsHook
