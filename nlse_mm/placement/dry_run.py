"""Run a built backbone or neck once on a small input, to find the shapes it returns."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nlse_mm.errors import ConfigError

# (H, W) in pixels. Not square where that works, to tell (N, C, H, W) from (N, H, W, C);
# larger for models that shrink more, square for those with a fixed size.
SIZES = ((64, 96), (128, 192), (224, 224), (256, 256), (512, 512))
# A neck with one number of channels doesn't define of how many maps. DyHead returns as
# many as it takes, whatever their number; it stands behind a pyramid of five.
_NUMBERS_OF_MAPS = (5, 4, 3, 1, 2, 6)


class DryRun:
    """Capture what a model and some of its modules return for a small input.

    The run is in evaluation mode and leaves no trace: weights, statistics, random
    numbers and training modes are as before.

    Args:
        model: A built backbone, which takes images, or neck, which takes maps.
        paths: Modules whose outputs are captured.
        in_channels: As the model's argument: of the images, or of each map.
        img_size: A size (H, W) that the model is made for, and may insist on.

    Raises:
        ConfigError: If the model runs on none of the inputs tried.
    """

    size: tuple[int, int]  # (H, W) in pixels of the input that it ran on
    returned: dict[str, list[Any]]  # by path, one output for each call

    def __init__(
        self,
        model: nn.Module,
        paths: Iterable[str] = (),
        in_channels: int | Sequence[int] | None = None,
        img_size: tuple[int, int] | None = None,
    ):
        # Small first: most models with an img_size take others as well, and faster.
        sizes = (SIZES[0], *((img_size,) if img_size else ()), *SIZES[1:])
        modules = {path: model.get_submodule(path) for path in paths}
        first = None
        for self.size, args in _inputs(in_channels, sizes):
            self.returned = {path: [] for path in modules}
            try:
                with _no_trace(model), _capture(modules, self.returned):
                    self.output = model(*_to_device_of(model, args))
                return
            except Exception as error:  # whatever a foreign model raises for a size
                first = first or error
        raise ConfigError(
            f"{type(model).__name__} did not run on images or maps of "
            f"{sizes[0]} to {sizes[-1]} pixels, so a plugin's channels can't be found "
            f"by a trial ({type(first).__name__}: {first})"
        ) from first

    def why_not_nchw(self, out: Any) -> str | None:
        """Return what ``out`` is, if not a map (N, C, H, W) of this run; else None."""
        if not isinstance(out, Tensor):
            return f"a {type(out).__name__}"
        shape = tuple(out.shape)
        if len(shape) != 4:
            return f"a tensor of shape {shape}"
        # Where the input isn't square, a map's sides show where H and W stand.
        height, width = self.size
        if shape[1] * width == shape[2] * height != 0 and (
            shape[2] * width != shape[3] * height
        ):
            return f"a tensor of shape {shape} (channels last)"
        return None


def _inputs(
    in_channels: int | Sequence[int] | None, sizes: Sequence[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], tuple[Any, ...]]]:
    """Yield arguments for ``forward`` to try, each with its size (H, W) in pixels."""
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


def _to_device_of(model: nn.Module, args: Any) -> Any:
    if isinstance(args, tuple):
        return tuple(_to_device_of(model, a) for a in args)
    parameter = next(model.parameters(), args)
    return args.to(parameter.device, parameter.dtype)


@contextmanager
def _no_trace(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    wanted = {p: p.requires_grad for p in model.parameters()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for module in modes:
            module.training = False
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            for parameter, requires_grad in wanted.items():
                parameter.requires_grad = requires_grad


@contextmanager
def _capture(
    modules: dict[str, nn.Module], returned: dict[str, list[Any]]
) -> Iterator[None]:
    # Hooks for the length of the trial only: torch.compile and SyncBN conversion lose
    # those that stay.
    with ExitStack() as stack:
        for path, module in modules.items():
            handle = module.register_forward_hook(
                lambda _, __, out, path=path: returned[path].append(out)
            )
            stack.callback(handle.remove)
        yield
