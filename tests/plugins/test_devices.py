"""All of a plugin's tensors are on one device, whichever its input is on.

Asked without a GPU, of fake tensors on the device ``meta``: PyTorch refuses operations
on fake tensors of two devices, as it would on a GPU.
"""

import pytest
import torch
from forms import FORMS
from mmengine.registry import DefaultScope
from torch._subclasses.fake_tensor import FakeTensorMode

from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS
from nlse_mm.registry import MODELS

pytestmark = pytest.mark.skipif(
    not HAS_CUSTOM_OPS, reason="this PyTorch can't checkpoint tensors without numbers"
)


ELSEWHERE = torch.device("meta")


def fakes():
    """Within it what is made with no device named is on the CPU, a fake as well."""
    return FakeTensorMode(allow_non_fake_inputs=True)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_training_step_makes_nothing_on_another_device(form):
    block = form.new().to(ELSEWHERE)
    with fakes():
        for x in form.inputs(device=ELSEWHERE, requires_grad=True):
            out = block(x)
            out.sum().backward()
            gradients = [p.grad for p in block.parameters() if p.grad is not None]
            assert {t.device for t in (out, x.grad, *gradients)} == {ELSEWHERE}


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_neither_does_what_the_analysis_asks_for(form):
    block = form.new().to(ELSEWHERE)
    with fakes():
        some = torch.tensor([1, 0], device=ELSEWHERE)
        for x in form.inputs(device=ELSEWHERE):
            if hasattr(block, "attention"):
                rows = block.attention(x), block.attention(x, some)
                assert {t.device for t in rows} == {ELSEWHERE}
            if hasattr(block, "excitation"):
                assert block.excitation(x).device == ELSEWHERE


HEADS = {
    "mmdet": dict(type="nlse_mm.KeypointRCNNHead", num_convs=1, conv_out_channels=8),
    "mmseg": dict(type="nlse_mm.NLHead", num_classes=3, channels=8),
}


@pytest.mark.parametrize("toolbox", HEADS)
def test_neither_do_the_heads(toolbox):
    pytest.importorskip(toolbox)
    with DefaultScope.overwrite_default_scope(toolbox):
        head = MODELS.build(dict(HEADS[toolbox], in_channels=8)).to(ELSEWHERE)
    with fakes():
        x = torch.randn(2, 8, 7, 5, device=ELSEWHERE, requires_grad=True)
        out = head(x if toolbox == "mmdet" else [x])
        out.sum().backward()
        assert {out.device, x.grad.device} == {ELSEWHERE}
