"""The plugins that are registered, in the forms in which the contract asks them.

A plugin is an ``nn.Module`` in ``nlse_mm.registry.MODELS`` of which ``in_channels`` is
the only required argument; heads and backbones need more, or less. It takes sequences,
maps or volumes: as with PyTorch's own layers, a name that ends in 1d or 3d says so, and
all others take maps. A new plugin is found without a line here; its further forms, and
how its attention gives its output, may stand in ``FURTHER``. One outside of nlse_mm is
asked by ``pytest -p MODULE``, which imports it. Where there is a GPU, promises are
asked on it as well.

Shapes: N batch, C channels, h heads, P queries, Q keys.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nlse_mm.plugins.non_local import MODES
from nlse_mm.plugins.non_local_3d import AXES
from nlse_mm.plugins.relative_encoding import ENCODINGS
from nlse_mm.registry import MODELS

TESTS = Path(__file__).parents[1]
C = 16
# Batch and sizes, odd and even, by the number of spatial dimensions.
SIZES = {
    1: ((2, 9), (1, 14)),
    2: ((2, 7, 5), (1, 6, 9)),
    3: ((2, 3, 5, 4), (1, 4, 4, 7)),
}


@dataclass(frozen=True, eq=False)
class Form:
    """A plugin with some arguments, and what is known of its attention.

    Args:
        cls: The plugin's class.
        kwargs: Arguments beyond ``in_channels``.
        softmax: Whether the rows of its attention are shares of 1.
        mix: Its output, from the plugin, its input and its attention (N, h, P, Q).
        volumes: Whether it takes volumes here, though its name doesn't end in 3d.
        device: Where it is built, and where its inputs are.
    """

    cls: type[nn.Module]
    kwargs: dict[str, Any] = field(default_factory=dict)
    softmax: bool = True
    mix: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None
    volumes: bool = False
    device: str = "cpu"

    def __str__(self) -> str:
        words = (k if v is True else str(v) for k, v in self.kwargs.items())
        volumes = ("volumes",) if self.volumes else ()
        device = () if self.device == "cpu" else (self.device,)
        return "-".join([self.cls.__name__, *words, *volumes, *device])

    @property
    def dims(self) -> int:
        end = "3d" if self.volumes else self.cls.__name__[-2:]
        return int(end[0]) if end in ("1d", "3d") else 2

    def new(self, **kwargs: Any) -> nn.Module:
        """Build it as it starts."""
        block = self.cls(in_channels=C, **{**self.kwargs, **kwargs})
        return block.to(self.device)

    def at_work(self) -> nn.Module:
        """Build it, all of its parameters having left their start."""
        block = self.new()
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.3)
        return block.eval()

    def inputs(self, **kwargs: Any) -> Iterator[Tensor]:
        for batch, *size in SIZES[self.dims]:
            yield torch.randn(batch, C, *size, **{"device": self.device, **kwargs})


def is_plugin(cls: object) -> bool:
    if not (inspect.isclass(cls) and issubclass(cls, nn.Module)):
        return False
    parameters = inspect.signature(cls).parameters.values()
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return needed == ["in_channels"]


def registered_plugins() -> list[type[nn.Module]]:
    """List what is registered, but for the toys of this suite's own tests."""
    MODELS.get("nlse_mm.NonLocal2d")  # the first name looked up imports our own
    return [
        cls
        for cls in MODELS.module_dict.values()
        if is_plugin(cls) and not _is_toy(sys.modules.get(cls.__module__))
    ]


def _is_toy(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    return file is None or Path(file).is_relative_to(TESTS)


def mix_non_local(block: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
    y = torch.einsum("npq,ndq->ndp", rows[:, 0], block.g(x).flatten(2))
    return x + block.conv_out(y.unflatten(2, x.shape[2:]))


def mix_axis(block: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
    weights = rows[:, 0].unflatten(1, (x.shape[2], -1))  # (N, T, H W, Q)
    over = dict(space="ntpq,ndtq->ndtp", time="ntpq,ndqp->ndtp")[block.axis]
    y = torch.einsum(over, weights, block.g(x).flatten(3))
    return x + block.conv_out(y.unflatten(3, x.shape[3:]))


def mix_heads(layer: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
    means = torch.einsum("nhpq,ncq->nhcp", rows, x.flatten(2)).flatten(1, 2)
    return x + layer.value(means.unflatten(2, x.shape[2:]))


NON_LOCAL = [
    dict(kwargs=kwargs, softmax="gaussian" in kwargs["mode"], mix=mix_non_local)
    for mode in MODES
    for kwargs in (dict(mode=mode), dict(mode=mode, sub_sample=True))
]
ALONG_AXES = [
    dict(kwargs=kwargs, softmax="gaussian" in kwargs["mode"], mix=mix_axis)
    for mode in MODES
    for kwargs in (
        dict(mode=mode, axis="space"),
        dict(mode=mode, axis="space", sub_sample=True),
        dict(mode=mode, axis="time"),
    )
]
FURTHER = {
    "NonLocal1d": NON_LOCAL,
    "NonLocal2d": [
        *NON_LOCAL,
        dict(kwargs=dict(norm_cfg=dict(type="BN")), mix=mix_non_local),
        dict(kwargs=dict(sub_sample=True, pool_first=True), mix=mix_non_local),
    ],
    "NonLocal3d": [*NON_LOCAL, *ALONG_AXES],
    "SELayer": [
        dict(kwargs=kwargs, volumes=volumes)
        for volumes in (False, True)
        for kwargs in ({}, dict(zero_init=True), dict(bias=False))
    ],
    "SelfAttention2d": [
        dict(kwargs=dict(num_heads=4, encoding=e, content=c), mix=mix_heads)
        for e in ENCODINGS
        for c in (False, True)
    ],
}
FORMS = [
    Form(cls, **rest)
    for cls in registered_plugins()
    for rest in FURTHER.get(cls.__name__, [{}])
]
# What is slow is asked of a plugin's default form, and where forms compute in another
# way, of one such form each.
OTHER_WAYS = {
    "NonLocal2d": [f"NonLocal2d-{mode}-sub_sample" for mode in MODES],
    "NonLocal3d": [f"NonLocal3d-{mode}-{axis}" for mode in MODES for axis in AXES[1:]],
    "SELayer": ["SELayer-volumes"],
    "SelfAttention2d": ["SelfAttention2d-4-quadratic-content"],
}
SLOW = [
    form
    for cls in registered_plugins()
    for i, form in enumerate(f for f in FORMS if f.cls is cls)
    if i == 0 or str(form) in OTHER_WAYS.get(cls.__name__, ())
]
PROMISES: dict[Callable[[Form], None], Callable[[Form], bool]] = {}


def promise(
    applies: Callable[[Form], bool] = lambda form: True,
    forms: list[Form] = FORMS,
    devices: tuple[str, ...] = ("cpu", "cuda"),
) -> Callable:
    """Make a test of a function of a form, for the forms to which it applies."""

    def decorate(function: Callable[[Form], None]) -> Callable[[Form], None]:
        PROMISES[function] = lambda form: form.device in devices and applies(form)
        chosen = [
            pytest.param(
                replace(form, device=device),
                marks=[pytest.mark.gpu] if device == "cuda" else [],
            )
            for device in devices
            for form in forms
            if applies(form)
        ]
        return pytest.mark.parametrize("form", chosen, ids=str)(function)

    return decorate
