"""MMAction2's eight non-local configs for Kinetics, with our block in theirs' place."""

import copy
from pathlib import Path

import pytest
import torch
from mmcv.cnn import NonLocal3d as Stock
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from nlse_mm import use_linear_non_local

mmaction = pytest.importorskip("mmaction")
RECOGNITION = Path(mmaction.__file__).parent / ".mim/configs/recognition"
CONFIGS = sorted(
    path.relative_to(RECOGNITION).as_posix()
    for path in RECOGNITION.rglob("*-nl-*kinetics400*.py")
)
# I3D and SlowOnly have the block in their residual blocks, TSM wraps those.
IN_BLOCKS = [name for name in CONFIGS if not name.startswith("tsm")]
EVERY = {name: name.split("_kinetics")[0] for name in CONFIGS}


@pytest.fixture(autouse=True)
def _in_mmaction():
    import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)

    with DefaultScope.overwrite_default_scope("mmaction"):
        yield


def backbone_of(name):
    backbone = Config.fromfile(RECOGNITION / name).model.backbone
    backbone.pretrained = None  # weights to download
    return backbone


def as_entries(backbone):
    """The same backbone with plugin entries in place of MMAction2's arguments."""
    ours = copy.deepcopy(backbone)
    ours.type = f"nlse_mm.{ours.type}"
    cfg = dict(ours.pop("non_local_cfg"), type="nlse_mm.NonLocal3d")
    where = enumerate(ours.pop("non_local"))
    blocks = {stage: [i for i, there in enumerate(s) if there] for stage, s in where}
    ours.plugins = [
        dict(
            cfg=cfg,
            stages=tuple(stage == i for i in range(4)),
            blocks=indices,
            position="after_block",
        )
        for stage, indices in blocks.items()
        if indices
    ]
    return ours


def small(backbone):
    # TSM's has no such argument, but 2D convolutions.
    width = {} if backbone.type == "ResNetTSM" else dict(base_channels=8)
    return copy.deepcopy(backbone) | width


def randomise(model):
    """Give weights with which 16 additions stay small, and blocks have a part."""
    for key, value in model.state_dict().items():
        if value.dim() > 1:
            value.normal_(std=value[0].numel() ** -0.5)
        elif key.endswith(".weight"):  # of the norms
            value.uniform_(0.6, 1.0)
    model.eval()  # MMAction2's returns None
    return model


def input_of(name):
    """Return a clip, or its frames as the images of a batch."""
    frames = torch.rand(8, 3, 64, 96)
    return frames if name.startswith("tsm") else frames.transpose(0, 1)[None]


def assert_same_values(ours, theirs, x):
    with torch.no_grad():
        found, expected = ours(x), theirs(x)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    # The blocks have a part in it.
    (*_, block) = (m for m in theirs.modules() if isinstance(m, Stock))
    block.conv_out.bn.weight.data.zero_()
    with torch.no_grad():
        assert not torch.allclose(theirs(x), expected, rtol=1e-2)


def test_there_are_eight():
    assert len(CONFIGS) == 8
    assert len(IN_BLOCKS) == 5


@pytest.mark.parametrize("name", IN_BLOCKS, ids=EVERY.get)
def test_entries_have_mmactions_keys_and_values(name):
    backbone = backbone_of(name)
    with torch.device("meta"):
        ours, theirs = MODELS.build(as_entries(backbone)), MODELS.build(backbone)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    assert (
        sum(key.endswith("non_local_block.conv_out.bn.weight") for key in shapes) == 5
    )
    backbone = small(backbone)
    theirs = randomise(MODELS.build(backbone))
    ours = MODELS.build(as_entries(backbone)).eval()
    ours.load_state_dict(theirs.state_dict())
    assert not any(isinstance(module, Stock) for module in ours.modules())
    assert_same_values(ours, theirs, input_of(name))


@pytest.mark.parametrize("name", CONFIGS, ids=EVERY.get)
def test_converted_blocks_keep_mmactions_keys_and_values(name):
    theirs = randomise(MODELS.build(small(backbone_of(name))))
    ours = copy.deepcopy(theirs)
    assert use_linear_non_local(ours) == 5
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert_same_values(ours, theirs, input_of(name))
