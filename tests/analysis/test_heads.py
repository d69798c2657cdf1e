"""Offsets of heads: known for a convolution's, and the tool that draws them."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from nlse_mm.analysis import measure_heads
from nlse_mm.plugins import NonLocal2d, SelfAttention2d

ROOT = Path(__file__).parents[2]


def test_the_heads_of_a_convolution_are_at_its_kernels_places():
    layer = SelfAttention2d.from_conv(nn.Conv2d(2, 2, 3, padding=2, dilation=2))
    (heads,) = measure_heads(nn.Sequential(layer), reach=4)
    places = [(y, x) for y in (-2, 0, 2) for x in (-2, 0, 2)]
    torch.testing.assert_close(heads.mean, torch.tensor(places).double())
    assert heads.covariance.abs().max() < 1e-6
    assert heads.distinct() == 9
    assert heads.name == "0"
    assert heads.weights[0, 2, 2] > 0.999  # offset (-2, -2) of at most 4


def test_a_bells_width_is_its_standard_deviation():
    layer = SelfAttention2d(2, 2, num_heads=1)
    with torch.no_grad():
        layer.encoding.centre.copy_(torch.tensor([[1.0, -2.0]]))
        layer.encoding.sharpness.fill_(1 / 1.5)
    (heads,) = measure_heads(layer)
    torch.testing.assert_close(heads.mean, torch.tensor([[1.0, -2.0]]).double())
    expected = 1.5**2 * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(heads.covariance[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("encoding", ["quadratic_full", "learned"])
def test_products_of_queries_and_keys_are_left_out(encoding):
    kwargs = dict(num_heads=2, encoding=encoding)
    plain, content = (SelfAttention2d(4, content=c, **kwargs) for c in (False, True))
    content.encoding.load_state_dict(plain.encoding.state_dict())
    (expected,), (found,) = measure_heads(plain), measure_heads(content)
    torch.testing.assert_close(found.weights, expected.weights)


@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_between_the_queries_changes_no_head(stride):
    plain, strided = (SelfAttention2d(4, 4, num_heads=2, stride=s) for s in (1, stride))
    strided.load_state_dict(plain.state_dict())
    (expected,), (found,) = measure_heads(plain, 8), measure_heads(strided, 8)
    assert found.weights.shape == (2, 17, 17)
    torch.testing.assert_close(found.mean, expected.mean, rtol=0, atol=1e-3)


def test_a_model_without_such_layers_ends_in_a_sentence():
    with pytest.raises(ValueError, match="Linear has no SelfAttention2d layer"):
        measure_heads(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="NonLocal2d has no SelfAttention2d layer"):
        measure_heads(NonLocal2d(4))


def test_the_tool_draws_the_start(tmp_path):
    pytest.importorskip("mmseg")
    figure = tmp_path / "new" / "heads.png"
    script = ROOT / "tools" / "analysis" / "show_heads.py"
    config = ROOT / "configs" / "tiny" / "fcn_sa6.py"
    done = subprocess.run(
        [sys.executable, script, config, "--output", figure],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "of 9" in done.stdout
    # Its frame is grey, and what it shows is not.
    assert (np.ptp(cv2.imread(str(figure)), axis=2) > 60).sum() > 100
    done = subprocess.run(
        [sys.executable, script, config, tmp_path / "no.pth"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().endswith("no.pth does not exist")
