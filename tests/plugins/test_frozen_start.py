"""A block that starts at zero and is held there says so when it is built."""

import pytest
from mmengine.registry import MODELS

from nlse_mm.plugins import NonLocal1d, NonLocal2d, frozen_start

FROZEN = dict(type="BN", requires_grad=False)


@pytest.fixture
def warned(monkeypatch):
    lines = []
    monkeypatch.setattr(
        frozen_start, "print_log", lambda line, **kwargs: lines.append((line, kwargs))
    )
    return lines


@pytest.mark.parametrize("cls", [NonLocal1d, NonLocal2d])
def test_a_frozen_norm_of_zeros_is_told_with_its_key(warned, cls):
    norm_cfg = FROZEN | dict(type="BN1d" if cls is NonLocal1d else "BN")
    cls(8, norm_cfg=norm_cfg)
    ((line, kwargs),) = warned
    assert line.startswith(
        f"{cls.__name__} with norm_cfg={norm_cfg} and zeros_init=True"
    )
    assert "stays the identity and learns nothing" in line
    assert kwargs["logger"] == "current"


def test_a_plugin_in_a_backbone_is_told_too(warned, in_mmdet):
    line = dict(cfg=dict(type="nlse_mm.NonLocal2d", norm_cfg=FROZEN))
    line |= dict(stages=(False, False, True, False), position="after_block")
    for name, depth in (("nlse_mm.ResNet", 18), ("mmdet.ResNet", 50)):
        position = dict(position="after_conv3") if depth == 50 else {}
        MODELS.build(dict(type=name, depth=depth, plugins=[line | position]))
    assert len(warned) == 2 + 6


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(),
        dict(norm_cfg=dict(type="BN")),
        dict(norm_cfg=FROZEN, zeros_init=False),
        dict(norm_cfg=dict(type="BN", affine=False)),
        dict(norm_cfg=dict(type="GN", num_groups=2)),
    ],
)
def test_nothing_is_said_of_a_block_that_can_learn(warned, kwargs):
    NonLocal2d(8, **kwargs)
    assert warned == []
