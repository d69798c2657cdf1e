"""The bytes that operators allocate: of the largest tensor, and of all at the peak."""

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from nlse_mm.ops import concatenation, softmax_blocks
from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS

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
