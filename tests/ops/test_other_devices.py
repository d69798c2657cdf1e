"""What the operations ask of a GPU, as far as it can be asked without one."""

import subprocess
import sys

import pytest
import torch

from nlse_mm import ops
from nlse_mm.ops import older_torch, softmax
from nlse_mm.ops.softmax_way import Way

# As plain autograd functions, fake tensors run all of an operation, not its stand-in.
# Operations on fake tensors of two devices are refused, as on a GPU.
ELSEWHERE = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
custom_op = vars(torch.library).pop("custom_op", None)
from nlse_mm import ops
from nlse_mm.ops.excitation import excite_add_relu
torch.library.custom_op = custom_op

def made(*shape):
    return torch.rand(shape, device="meta", dtype=dtype, requires_grad=True)

for dtype in (torch.float32, torch.bfloat16):
    with FakeTensorMode():
        query, key, value = made(2, 1500, 16), made(2, 1100, 16), made(2, 1100, 80)
        a, b = made(2, 1500), made(2, 1100)
        x, identity = made(2, 8, 5, 7), made(2, 8, 5, 7)
        weights = made(4, 8), made(8, 4)
        outputs = (
            ops.softmax_attention(query, key, value, 0.3),
            ops.dot_product_attention(query, key, value),
            ops.concatenation_attention(a, b, value),
            excite_add_relu(x * 1, identity, (weights[0], None, weights[1], None)),
        )
        for out in outputs:
            out.sum().backward()
        tensors = (query, key, value, a, b, x, identity, *weights)
        devices = {t.device.type for t in (*outputs, *(t.grad for t in tensors))}
        print(devices)
"""


@pytest.mark.skipif(
    not older_torch.HAS_CUSTOM_OPS, reason="this PyTorch has no fake tensors on meta"
)
def test_the_operations_make_nothing_on_another_device_than_their_tensors():
    command = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "{'meta'}\n" * 2, done.stderr


@pytest.mark.skipif(
    not older_torch.HAS_CUSTOM_OPS, reason="this PyTorch compiles no attention whole"
)
@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("takes", [False, True])
def test_the_question_whether_flash_takes_it_compiles_whole(takes, trains, monkeypatch):
    """Dynamo can't follow it: only the answer, of the channels and of training."""
    asked = []

    def answer(query, key, value):
        asked.append((query.shape[3], query.requires_grad, torch.is_grad_enabled()))
        return takes

    def attend(x):
        return ops.softmax_attention(x, x, x, 0.3)

    monkeypatch.setattr(softmax, "softmax_way", lambda *_: Way.FLASH)
    monkeypatch.setattr(older_torch, "_can_flash", answer)
    torch._dynamo.reset()
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 9, 8, requires_grad=True)
    with torch.set_grad_enabled(trains):
        out = compiled(x)
    assert asked == [(8, trains, trains)]
    torch.testing.assert_close(out, attend(x))
