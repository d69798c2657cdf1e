"""Memory grows with the positions, and no map of weights is ever made.

Counted in bytes that operators allocate, so that no timing and no other process plays
a part.
"""

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from nlse_mm.ops import concatenation, softmax_blocks
from nlse_mm.ops.blocks import BLOCK_WEIGHTS
from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS
from nlse_mm.plugins import NonLocal2d, NonLocal3d, SelfAttention2d
from nlse_mm.plugins.relative_encoding import ENCODINGS

pytestmark = pytest.mark.usefixtures("each_device")
MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")
OPERATIONS = [
    operation
    for file in (softmax_blocks, concatenation)
    for operation in vars(file).values()
    if type(operation) is type(softmax_blocks.attend)
]
# An operation that is one step hides what it allocates: its function doesn't.
INSIDE = {o._opoverload: o._init_fn for o in OPERATIONS if HAS_CUSTOM_OPS}


class Live(TorchDispatchMode):
    """Follows the storages that operators return: the largest, and the peak of all."""

    def __init__(self):
        super().__init__()
        self.live = {}
        self.peak = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in INSIDE:
            with self:
                return INSIDE[func](*args)
        given = {self._key(t) for t in tree_flatten((args, kwargs))[0] if self._is(t)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(result)[0]:
            if self._is(tensor) and self._key(tensor) not in given:
                self._follow(tensor)
        return result

    @staticmethod
    def _is(value):
        return isinstance(value, torch.Tensor)

    @staticmethod
    def _key(tensor):
        return tensor.untyped_storage()._cdata

    def _follow(self, tensor):
        storage = tensor.untyped_storage()
        # Not Python's weak references: those to a storage's object may outlive it in
        # older versions of PyTorch. While this one is held, no other gets its address.
        self.live = {k: v for k, v in self.live.items() if not v[0].expired()}
        self.live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        sizes = [size for _, size in self.live.values()]
        self.largest = max(self.largest, *sizes)
        self.peak = max(self.peak, sum(sizes))


def measure(block, *size, channels=32, images=1):
    x = torch.rand(images, channels, *size, requires_grad=True)
    with Live() as live:
        block(x).sum().backward()
    return live


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sub_sample", [False, True])
def test_doubling_the_positions_at_most_doubles_the_memory(mode, sub_sample):
    block = NonLocal2d(32, mode=mode, sub_sample=sub_sample, zeros_init=False)
    small, large = measure(block, 80, 100), measure(block, 160, 100)
    assert large.peak <= 2.2 * small.peak


@pytest.mark.parametrize("mode", MODES)
def test_no_operator_returns_a_map(mode):
    count = 160 * 100
    block = NonLocal2d(32, mode=mode, zeros_init=False)
    live = measure(block, 160, 100)
    assert live.largest < count * count * 4 / 8
    assert live.peak < count * count * 4 / 8


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian"])
def test_many_small_images_make_no_more_weights_than_a_block_has(mode):
    live = measure(
        NonLocal2d(8, mode=mode, zeros_init=False), 24, 24, channels=8, images=120
    )
    assert live.largest < 120 * 576**2  # of the 4 bytes of each weight, 1
    assert live.largest <= 4 * BLOCK_WEIGHTS
    assert live.peak <= 2.5 * 4 * BLOCK_WEIGHTS  # weights and their gradients


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", ["space", "time"])
def test_no_axis_of_a_volume_makes_a_map(mode, axis):
    block = NonLocal3d(8, mode=mode, axis=axis, zeros_init=False)
    # Twice as many keys for each query: rows of a frame, or frames.
    sizes = dict(
        space=[(2, 60, 100), (2, 120, 100)], time=[(6000, 1, 2), (12000, 1, 2)]
    )
    small, large = (measure(block, *size, channels=8) for size in sizes[axis])
    assert large.peak <= 2.2 * small.peak
    assert large.largest < 2 * 12000**2 * 4 / 8


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("content", [False, True])
def test_self_attention_makes_no_map_either(encoding, content):
    layer = SelfAttention2d(32, 32, num_heads=2, encoding=encoding, content=content)
    small, large = measure(layer, 40, 100), measure(layer, 80, 100)
    assert large.peak <= 2.2 * small.peak
    assert large.largest < 2 * (80 * 100) ** 2 * 4 / 8


def test_the_measurement_sees_mmcvs_map():
    from mmcv.cnn import NonLocal2d as Stock

    count = 40 * 50
    live = measure(Stock(32, zeros_init=False), 40, 50)
    assert live.largest == count * count * 4
