"""The configs of Swin and HRNet: the baselines', with plugins on maps."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("in_mmdet")

# name, baseline, the plugins' names
CONFIGS = [
    (
        "mask_rcnn_swin-t_nl",
        "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py",
        {"nonlocal_block_output2": 384},
    ),
    (
        "mask_rcnn_hrnetv2p-w18_se",
        "mmdet::hrnet/mask-rcnn_hrnetv2p-w18-1x_coco.py",
        {f"se_layer_output{i}": 18 << i for i in range(4)},
    ),
]
NAMES = [name for name, _, _ in CONFIGS]


def load(name):
    return Config.fromfile(ROOT / "configs" / f"{name}.py")


def load_stock(name):
    return Config.fromstring(f"_base_ = {name!r}", ".py")


@pytest.mark.parametrize(("name", "baseline", "_"), CONFIGS, ids=NAMES)
def test_only_the_plugins_differ_from_the_baseline(name, baseline, _):
    ours, theirs = load(name).to_dict(), load_stock(baseline).to_dict()
    own = ours["model"]["backbone"]
    assert own.pop("type") == "nlse_mm.WithPlugins"
    own["type"] = own.pop("base")
    del own["plugins"]
    assert ours == theirs


@pytest.mark.parametrize(("name", "baseline", "plugins"), CONFIGS, ids=NAMES)
def test_the_maps_that_the_heads_get_equal_the_baselines_at_the_start(
    name, baseline, plugins
):
    ours, theirs = load(name).model, load_stock(baseline).model
    ours.backbone.init_cfg = theirs.backbone.init_cfg = None  # weights to download
    backbone, neck = (MODELS.build(ours[part]) for part in ("backbone", "neck"))
    stock = MODELS.build(theirs.backbone)
    backbone.init_weights()
    missing, unexpected = backbone.load_state_dict(stock.state_dict(), strict=False)
    assert not unexpected
    assert {key.split(".")[0] for key in missing} == plugins.keys()
    for plugin, channels in plugins.items():
        assert getattr(backbone, plugin).in_channels == channels
    for module in (backbone, neck, stock):
        module.eval()
    image = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        pairs = zip(neck(backbone(image)), neck(stock(image)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "plugins"),
    [
        ("tiny/mask_rcnn_swin_nl", {"nonlocal_block_output2"}),
        ("tiny/mask_rcnn_hrnet_se", {f"se_layer_output{i}" for i in range(4)}),
    ],
)
def test_the_tiny_ones_move_their_plugins_in_a_training_step(name, plugins):
    config = load(name).model
    backbone, neck = MODELS.build(config.backbone), MODELS.build(config.neck)
    backbone.init_weights()
    backbone.train()
    maps = neck(backbone(torch.rand(2, 3, 96, 128)))
    assert [m.shape[2:] for m in maps] == [(24 >> i, 32 >> i) for i in range(4)]
    sum((m * torch.rand_like(m)).sum() for m in maps).backward()
    for plugin in plugins:
        gradients = [p.grad for p in getattr(backbone, plugin).parameters()]
        assert any(g.any() for g in gradients)
