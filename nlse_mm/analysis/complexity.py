"""What a model costs: parameters, multiplications, and memory kept for the gradients.

Nothing is computed: the tensors have shapes and no numbers, so a Cityscapes image
through MMCV's block, whose map of weights takes 4 GiB, is counted on a laptop.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

import nlse_mm.ops  # noqa: F401  adds the formulas of our operations
from nlse_mm.errors import ConfigError
from nlse_mm.ops.older_torch import count_flops

from .uncountable import why_uncountable

REGIONS = (
    1000  # of an image, for heads of a two-stage detector; the first 100 get masks
)


@dataclass(frozen=True)
class Complexity:
    """What one image costs.

    Args:
        parameters: All of them, frozen ones as well.
        macs: Multiply-accumulates of convolutions and matrix products, forward. PyTorch
            and the papers differ in the word: FLOPs are often twice this, or the same.
        kept_bytes: Memory that the forward pass keeps for the backward pass, the
            parameters not counted.
    """

    parameters: int
    macs: int
    kept_bytes: int

    def __sub__(self, other: "Complexity") -> "Complexity":
        return Complexity(
            self.parameters - other.parameters,
            self.macs - other.macs,
            self.kept_bytes - other.kept_bytes,
        )


def complexity(
    model: nn.Module, shape: tuple[int, ...], **kwargs: object
) -> Complexity:
    """Count what ``model`` costs on an input of ``shape``.

    PyTorch's formulas count convolutions and matrix products, and those of
    :mod:`nlse_mm.ops` its own operations. Norms, ReLUs, additions
    and pooling aren't counted, as in the papers. Two-stage detectors run on 1,000
    regions an image, 100 of which get masks or keypoints, as MMDetection counts them.

    The model is in evaluation mode with gradients: memory is that of training but for
    the masks of dropout. Layers that are frozen keep nothing.

    Args:
        model: A built model, backbone or block. It is left as it was.
        shape: (N, C, H, W) of the input; N should be 1 for a detector.
        kwargs: More arguments of the model's ``forward``, such as ``mode='tensor'``.

    Raises:
        ConfigError: If the model needs numbers or data samples, or can't take that
            shape; it says which, and where in the model.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    state: dict[str, Tensor] = {
        name: fake.from_tensor(tensor)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    own = {_storage(tensor) for tensor in state.values()}
    kept: dict[int, torch.UntypedStorage] = {}  # alive, or its address would come again

    def note(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    counter = _Counter()
    try:
        with _ready(model), fake, saved_tensors_hooks(note, lambda t: t), counter:
            image = _like(model).new_empty(shape)
            torch.func.functional_call(model, state, (image,), kwargs)
    except Exception as error:  # whatever a foreign model raises
        raise ConfigError(
            f"{type(model).__name__} can't be counted on an input of {shape}: "
            f"{why_uncountable(error)}"
        ) from error
    parameters = sum(p.numel() for p in model.parameters())
    kept_bytes = sum(storage.nbytes() for storage in kept.values())
    return Complexity(parameters, counter.flops // 2, kept_bytes)


class _Counter(TorchDispatchMode):
    """PyTorch's formulas, without the hooks that its own counter puts on all modules.

    Where a module is hooked, our blocks call each of their layers and keep more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.flops += count_flops(func._overloadpacket, args, kwargs or {}, out)
        return out


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _like(model: nn.Module) -> Tensor:
    """Return a tensor of the model's device and dtype."""
    return next(model.parameters(), torch.empty(0))


@contextmanager
def _ready(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in evaluation mode, with stand-ins for what needs numbers."""
    modes = {module: module.training for module in model.modules()}
    replaced = []

    def replace(module: nn.Module, name: str, stand_in: object) -> None:
        module.__dict__[name] = stand_in
        replaced.append((module, name))

    if isinstance(rpn := getattr(model, "rpn_head", None), nn.Module):
        replace(rpn, "predict", _Propose(rpn))
    for module in modes:
        module.training = False
        if hasattr(module, "roi_layers"):
            replace(module, "forward", _Extract(module))
    try:
        with torch.enable_grad():
            yield
    finally:
        for module, name in replaced:
            del module.__dict__[name]
        for module, mode in modes.items():
            module.training = mode


@dataclass
class _Propose:
    """In place of an RPN's boxes, which depend on the numbers: always as many."""

    head: nn.Module

    def __call__(self, x: tuple[Tensor, ...], *_: object, **__: object) -> list:
        self.head(x)
        boxes = (level.new_empty(REGIONS, 4) for level in x[0])
        return [SimpleNamespace(bboxes=b) for b in boxes]


@dataclass
class _Extract:
    """In place of a RoI extractor, whose compiled operation takes numbers only."""

    extractor: Any

    def __call__(self, feats: tuple[Tensor, ...], rois: Tensor, **_: object) -> Tensor:
        size = self.extractor.roi_layers[0].output_size
        channels = self.extractor.out_channels
        # A sum, so that the gradient reaches the maps; a copy, for the memory.
        total = torch.stack([f.sum() for f in feats]).sum()
        return total.expand(rois.shape[0], channels, *size).contiguous()
