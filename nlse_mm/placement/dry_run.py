"""Run a built model once on a small input, to find the shapes it returns."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nlse_mm.errors import ConfigError

from .no_trace import capture, no_trace, one_more_child
from .shortcuts import Shortcuts
from .trial_inputs import SIZES, Trial, guesses, of_example, to_device_of


class DryRun:
    """Capture what a model and some of its modules return for one input.

    The run is in evaluation mode and leaves no trace: weights, statistics, random
    numbers and training modes are as before.

    Args:
        model: Any with an ``example``; else a built backbone, which takes images or
            clips, or neck, which takes maps.
        paths: Modules whose outputs are captured.
        in_channels: As the model's argument: of the images, or of each map.
        img_size: A size (H, W) that the model is made for, and may insist on.
        example: What the model takes: a tensor, or a tuple of positional inputs. None
            to try small images, clips and maps.
        finds_branches: Whether to find which of ``paths`` are in residual branches.

    Raises:
        ConfigError: If the model doesn't run on the example, or on none of the inputs
            tried.
    """

    size: tuple[int, int] | None  # (H, W) in pixels of the input, if it is an image
    returned: dict[str, list[Any]]  # by path, one output for each call
    in_branches: set[str]  # those of the paths, where that was asked for
    runs_children: bool  # whether a further child of the model would run in its forward

    def __init__(
        self,
        model: nn.Module,
        paths: Iterable[str] = (),
        in_channels: int | Sequence[int] | None = None,
        img_size: tuple[int, int] | None = None,
        example: Any = None,
        finds_branches: bool = False,
    ):
        # Small first: most models with an img_size take others as well, and faster.
        sizes = (SIZES[0], *((img_size,) if img_size else ()), *SIZES[1:])
        given = example is not None
        weights = () if given else model.parameters()
        volumes = any(not is_lazy(p) and p.dim() == 5 for p in weights)
        trials: Iterator[Trial] = (
            iter([of_example(example)])
            if given
            else guesses(in_channels, sizes, volumes)
        )
        modules = {path: model.get_submodule(path) for path in paths}
        first = None
        for self.size, args in trials:
            self.returned = {path: [] for path in modules}
            try:
                moved = to_device_of(model, args)
                shortcuts = Shortcuts(self.returned, moved)
                with (
                    no_trace(model),
                    capture(modules, self.returned),
                    one_more_child(model) as calls,
                    shortcuts if finds_branches else nullcontext(),
                ):
                    self.output = model(*moved)
                self.runs_children, self.in_branches = bool(calls), shortcuts.joined
                return
            except Exception as error:  # whatever a foreign model raises for a size
                first = first or error
        name = type(model).__name__
        why = f"({type(first).__name__}: {first_line(first)})"
        if given:
            raise ConfigError(
                f"example={_shape(example)}: {name} does not run on it {why}"
            ) from first
        tried = f"images or maps of {sizes[0]} to {sizes[-1]} pixels"
        if volumes:
            tried = "clips of 8 or 16 frames"
        raise ConfigError(
            f"{name} did not run on {tried}, so a plugin's channels can't be found by "
            f"a trial {why}"
        ) from first

    def why_no_map(self, out: Any, in_channels: int | None = None) -> str | None:
        """Return what ``out`` is, if not a map (N, C, *) of this run; else None.

        Args:
            out: What a model or a module returned.
            in_channels: C, where the user says it. Three dimensions may be (N, C, L)
                or tokens (N, L, C), and only this tells which.
        """
        if not isinstance(out, Tensor):
            return f"a {type(out).__name__}"
        shape = tuple(out.shape)
        if len(shape) not in (4, 5) and (len(shape) != 3 or in_channels is None):
            return f"a tensor of shape {shape}"
        # Where the input isn't square, a map's sides show where H and W stand.
        if in_channels is None and self.size and _is_channels_last(shape, self.size):
            return f"a tensor of shape {shape} (channels last)"
        return None


def first_line(error: BaseException | None) -> str:
    """Return what an error says first, of PyTorch's that say it in many lines."""
    return str(error).strip().partition("\n")[0]


def _is_channels_last(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Return whether (H, W, C) rather than (C, H, W) have the sides of the input."""
    height, width = size
    a, b, c = shape[-3:]
    return a * width == b * height != 0 and b * width != c * height


def _shape(example: Any) -> str:
    """Return an example as a message shows it: the shapes of its tensors."""
    if isinstance(example, tuple):
        return f"({', '.join(map(_shape, example))})"
    if isinstance(example, Tensor):
        return f"a tensor of shape {tuple(example.shape)}"
    return f"a {type(example).__name__}"
