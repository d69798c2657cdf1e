"""What a model is given in its trial run: a user's example, or small images and maps.

Shapes: N batch, C channels, T frames, H height, W width.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

# (H, W) in pixels. Not square where that works, to tell (N, C, H, W) from (N, H, W, C);
# larger for models that shrink more, square for those with a fixed size.
SIZES = ((64, 96), (128, 192), (224, 224), (256, 256), (512, 512))
# (T, H, W) of clips: small, what C3D insists on, and what those of a fixed size do.
CLIPS = ((8, 64, 96), (16, 64, 96), (16, 112, 112), (8, 224, 224), (16, 224, 224))
# A neck with one number of channels doesn't define of how many maps. DyHead returns as
# many as it takes, whatever their number; it stands behind a pyramid of five.
_NUMBERS_OF_MAPS = (5, 4, 3, 1, 2, 6)

# Arguments for ``forward``, with the size (H, W) in pixels, if they have one.
Trial = tuple[tuple[int, int] | None, tuple[Any, ...]]


def guesses(
    in_channels: int | Sequence[int] | None,
    sizes: Sequence[tuple[int, int]],
    volumes: bool = False,
) -> Iterator[Trial]:
    """Yield what to try on a backbone or neck of which only the channels are known.

    Args:
        in_channels: Of the images, or of each map.
        sizes: (H, W) of the images, in pixels.
        volumes: Whether clips come first. One of a single channel would be an image
            (C, T, H, W) of its own to 3D convolutions.
    """
    clips = _clips(3 if isinstance(in_channels, Sequence) else in_channels or 3)
    if volumes:
        yield from clips
    yield from _images_and_maps(in_channels, sizes)
    yield from clips  # none is left if they came first


def _clips(channels: int) -> Iterator[Trial]:
    """Yield clips, then one whose frames are the images of a batch."""
    for size in CLIPS:
        yield size[1:], (torch.zeros(1, channels, *size),)  # (1, C, T, H, W)
    yield SIZES[0], (torch.zeros(16, channels, *SIZES[0]),)  # (N T, C, H, W)


def _images_and_maps(
    in_channels: int | Sequence[int] | None, sizes: Sequence[tuple[int, int]]
) -> Iterator[Trial]:
    if isinstance(in_channels, Sequence):
        for size in SIZES[1:]:
            maps = _pyramid(in_channels, size)
            yield size, (maps,)
            # YOLO's necks want the deepest map first.
            yield size, (_pyramid(in_channels[::-1], size)[::-1],)
            yield size, (_pyramid(in_channels[::-1], size),)
            yield size, (tuple(torch.zeros(1, c, 16, 24) for c in in_channels),)
            # A recursive pyramid (RFP) runs a backbone of its own on the image.
            yield size, ((torch.zeros(1, 3, *size), *maps),)
        return
    for size in sizes:
        yield size, (torch.zeros(1, in_channels or 3, *size),)
    if in_channels is not None:
        for number in _NUMBERS_OF_MAPS:
            yield SIZES[3], (_pyramid([in_channels] * number, SIZES[3]),)
        # They may have been a backbone's width.
        for size in sizes:
            yield size, (torch.zeros(1, 3, *size),)


def _pyramid(channels: Sequence[int], size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Return maps of strides 4, 8, 16 and so on."""
    height, width = size
    return tuple(
        torch.zeros(1, c, max(1, height >> i), max(1, width >> i))  # (1, C, H, W)
        for i, c in enumerate(channels, start=2)
    )


def of_example(example: Any) -> Trial:
    """Return a user's example as a trial: a tensor, or a tuple of positional inputs."""
    args = example if isinstance(example, tuple) else (example,)
    sizes = [tuple(a.shape[-2:]) for a in args if isinstance(a, Tensor) and a.dim() > 3]
    return (sizes[0] if sizes else None), args  # type: ignore[return-value]


def to_device_of(model: nn.Module, args: Any) -> Any:
    """Return inputs on the model's device; those with fractions in its dtype."""
    weights = (p for p in model.parameters() if p.is_floating_point())
    weight = next(weights, None)

    def move(value: Any) -> Any:
        if weight is None or not isinstance(value, Tensor):
            return value
        moved = value.to(weight.device)
        return moved.to(weight.dtype) if value.is_floating_point() else moved

    return tree_map(move, args)
