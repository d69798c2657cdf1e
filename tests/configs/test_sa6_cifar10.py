"""The third paper's experiment: its network's size, its recipe, and a step of it."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

CONFIGS = Path(__file__).parents[2] / "configs"
HEADS, WIDTH, INSIDE = 9, 400, 512
SECOND = WIDTH * WIDTH + WIDTH  # the 1x1 layer after a layer's heads
# Table 1's, in millions, as the authors' code builds them.
PAPERS = dict(quadratic=12.1, learned=12.3)

pytestmark = pytest.mark.usefixtures("in_mmpretrain")


@pytest.fixture
def config(read_config):
    return read_config(CONFIGS / "sa6_cifar10.py")


@pytest.mark.parametrize("encoding", PAPERS)
def test_the_papers_count_has_a_second_layer_after_the_heads(config, encoding):
    config.model.backbone.attention = dict(encoding=encoding)
    model = MODELS.build(config.model)
    ours = sum(p.numel() for p in model.parameters())
    table = sum(p.numel() for n, p in model.named_parameters() if "encoding" in n)
    # Theirs holds vectors for 31 offsets each way, and a product to a head's numbers.
    papers = dict(quadratic=HEADS * 3, learned=2 * 31 * WIDTH + 2 * WIDTH * HEADS)
    theirs = ours - table + 6 * (papers[encoding] + SECOND)
    assert round(theirs / 1e6, 1) == PAPERS[encoding]
    if encoding == "quadratic":
        assert (ours, theirs) == (11_124_444, 12_086_844)
        assert model.backbone.layers[0].perceptron[0].out_features == INSIDE


def test_a_step_moves_all_and_spares_the_encodings_the_decay(config):
    config.model.backbone.channels = config.model.head.in_channels = 18
    preprocessor = config.data_preprocessor.to_dict()
    model = MODELS.build({**config.model, "data_preprocessor": preprocessor})
    model.init_weights()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    structures = pytest.importorskip("mmpretrain.structures")
    images = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in range(2)]
    labels = [structures.DataSample().set_gt_label(number) for number in (1, 7)]
    losses = model.train_step(dict(inputs=images, data_samples=labels), wrapper)
    assert losses["loss"].isfinite()
    moved = {name for name, p in model.named_parameters() if not p.equal(before[name])}
    assert moved == before.keys()
    decays = {
        name: group["weight_decay"]
        for group in wrapper.optimizer.param_groups
        for p in group["params"]
        for name, q in model.named_parameters()
        if p is q
    }
    assert {d for n, d in decays.items() if "encoding" in n} == {0}
    assert {d for n, d in decays.items() if "encoding" not in n} == {1e-4}


def test_the_schedule_is_the_authors(config):
    warm_up, cosine = config.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.end) == (15, 15, 300)  # 5% of 300 epochs
    assert config.train_cfg.max_epochs == 300
    assert config.optim_wrapper.optimizer.lr == 0.1
    assert 2 * config.train_dataloader.batch_size == 100  # on the header's two GPUs
