"""Find what a plugin at one place of a model gets: channels, device and dtype.

Shapes: N batch, C channels, H height, W width.
"""

from collections.abc import Iterator
from typing import Any

from mmcv.cnn import NonLocal1d, NonLocal2d, NonLocal3d
from torch import Tensor, nn

from nlse_mm.errors import ConfigError
from nlse_mm.plugins.non_local import _NonLocalNd

from .dry_run import DryRun, first_line
from .entries import ModelEntry
from .no_trace import no_trace
from .plugged_model import list_maps, map_of


class Place:
    """Hold what is known of one entry's place, from a trial run or from the entry.

    Args:
        entry: The plugin entry.
        model: The model, not yet changed.
        run: Its trial run; None without one.

    Raises:
        ConfigError: If the channels can't be known, or there is no map.
    """

    channels: int  # C of (N, C, *)
    index: int  # of the map among those that the model returns; 0 with ``after``

    def __init__(self, entry: ModelEntry, model: nn.Module, run: DryRun | None):
        self.entry, self.index = entry, entry.output or 0
        self._model, self._model_name = model, type(model).__name__
        self._map: Tensor | None = None
        if run is not None:
            self._map = self._find_map(run)
            self.channels = self._map.shape[1]
            if entry.in_branch and entry.after not in run.in_branches:
                raise ConfigError(
                    f"{entry.key}: in_branch=True, but what {self._model_name} gives "
                    f"at {entry.place} is in no residual branch: nothing made of it is "
                    "added to a shortcut, or joined with one"
                )
        elif entry.in_channels is not None and not entry.needs_run:
            self.channels = entry.in_channels
        elif self.index < 0:
            raise ConfigError(
                f"{entry.key}: {entry.place} counts from the last map, and how many "
                "there are only a run of the model says: give example=, or count from 0"
            )
        elif entry.in_branch:
            raise ConfigError(
                f"{entry.key}: in_branch=True, and whether {entry.place} is in a "
                "residual branch only a run of the model says: give example="
            )
        else:
            raise ConfigError(
                f"{entry.key}: the channels at {entry.place} are not known: give "
                "example=, an input of the model, or in_channels= beside cfg"
            )

    def _find_map(self, run: DryRun) -> Tensor:
        """Return what the plugin gets in the trial run."""
        entry, model = self.entry, self._model_name
        out = self._output(run) if entry.after is None else self._returned(run)
        wrong = run.why_no_map(out, entry.in_channels)
        if wrong:
            hint = "; what a module inside gives may be, with after="
            if entry.after is not None:
                hint = "; the maps that output= takes may be"
            raise ConfigError(
                f"{entry.key}: what {model} gives at {entry.place} is {wrong}, not a "
                f"map of shape (N, C, H, W){hint}"
            )
        if entry.in_channels not in (None, out.shape[1]):
            raise ConfigError(
                f"{entry.key}: in_channels={entry.in_channels}, but the map that "
                f"{model} gives at {entry.place} has {out.shape[1]} channels"
            )
        return out

    def _output(self, run: DryRun) -> Any:
        maps = list_maps(run.output)
        if not -len(maps) <= self.index < len(maps):
            number = "one map" if len(maps) == 1 else f"{len(maps)} maps"
            raise ConfigError(
                f"{self.entry.key}: {self.entry.place}, but {self._model_name} returns "
                f"{number}, {-len(maps)} to {len(maps) - 1}"
            )
        self.index %= len(maps)
        return map_of(maps[self.index])

    def _returned(self, run: DryRun) -> Any:
        entry = self.entry
        returned = run.returned[str(entry.after)]
        if len(returned) != 1:
            raise ConfigError(
                f"{entry.key}: the module at {entry.place} is called {len(returned)} "
                f"times in a forward pass of {self._model_name} in evaluation mode; a "
                "plugin goes after one that is called once"
            )
        return returned[0]

    @property
    def suffix(self) -> str:
        """Return what the plugin's name ends in."""
        if self.entry.after is None:
            return f"_output{self.index}"
        return f"_after_{self.entry.after.replace('.', '_')}"

    def fit(self, plugin: nn.Module) -> None:
        """Give a plugin the device, the dtype and the mode of its place.

        Raises:
            ConfigError: If it doesn't run on a map of these dimensions.
        """
        weight = next(filter(Tensor.is_floating_point, self._weights()), self._map)
        if weight is not None:
            device = weight.device if self._map is None else self._map.device
            plugin.to(device=device, dtype=weight.dtype)
        plugin.train(self._model.training)
        if self._map is None:
            return
        dims, found = _dims_of(plugin), self._map.dim() - 2
        if dims not in (None, found):
            why = f"its convolutions take {dims} spatial dimensions, not {found}"
            raise ConfigError(self._does_not_run(plugin, why))
        if found == 2:
            return
        try:
            with no_trace(plugin):
                plugin(self._map)
        except Exception as error:  # whatever a plugin raises for a shape
            why = first_line(error)
            raise ConfigError(self._does_not_run(plugin, why)) from error

    def _does_not_run(self, plugin: nn.Module, why: str) -> str:
        assert self._map is not None
        return (
            f"{self.entry.key}: what {self._model_name} gives at {self.entry.place} is "
            f"a tensor of shape {tuple(self._map.shape)}, on which "
            f"{type(plugin).__name__} does not run ({why})"
        )

    def _weights(self) -> Iterator[Tensor]:
        """Yield the weights of the module before the plugin, then the model's."""
        if self.entry.after is not None:
            yield from self._model.get_submodule(self.entry.after).parameters()
        yield from self._model.parameters()


def _dims_of(plugin: nn.Module) -> int | None:
    """Return the spatial dimensions of a non-local block; None where a run tells.

    Ours computes a 1x1 convolution as a matrix product, of which any map is a factor.
    """
    if not isinstance(plugin, _NonLocalNd | NonLocal1d | NonLocal2d | NonLocal3d):
        return None
    weight = getattr(plugin.conv_out.conv, "weight", None)  # of the user's conv_cfg
    return None if weight is None else weight.dim() - 2
