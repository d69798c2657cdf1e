"""Keep plugins out of what a container of modules runs one after the other."""

from collections import OrderedDict
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from contextlib import contextmanager
from typing import Any

from torch import nn

from .plugged_model import PluggedModel

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class PluggedContainer(PluggedModel):
    """Hold the plugins of a model that is itself a container, such as a Sequential.

    They are its children, by whose names the weights go, and not its members.
    """

    def _members(self) -> dict[str, nn.Module]:
        plugins = self.plugin_names()
        # Not named_children(), which leaves out a member that comes a second time.
        members = self._modules.items()
        return {n: m for n, m in members if m is not None and n not in plugins}

    @contextmanager
    def _members_only(self) -> Iterator[Any]:
        """Yield the stock methods while the plugins, which they renumber, are out."""
        plugins = {name: self._modules.pop(name) for name in self.plugin_names()}
        try:
            yield super()
        finally:
            self._modules.update(plugins)

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._members())

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the members, over their names in a ModuleDict."""
        members = self._members()
        return iter(members if isinstance(self, nn.ModuleDict) else members.values())

    def __getitem__(self, index: Any) -> Any:
        """Return a member, or a slice of them, which has no plugins."""
        if isinstance(self, nn.ModuleDict):
            return self._modules[index]
        members = self._members()
        if not isinstance(index, slice):
            return list(members.values())[index]
        if isinstance(self, nn.Sequential):
            return nn.Sequential(OrderedDict(list(members.items())[index]))
        return nn.ModuleList(list(members.values())[index])

    def __setitem__(self, index: Any, module: nn.Module) -> None:
        """Set a member."""
        if isinstance(self, nn.ModuleDict):
            self.add_module(index, module)
            return
        with self._members_only() as stock:
            stock.__setitem__(index, module)

    def __delitem__(self, index: Any) -> None:
        """Delete a member, or a slice of them, and number the others anew."""
        with self._members_only() as stock:
            stock.__delitem__(index)

    def insert(self, index: int, module: nn.Module) -> Any:
        """Insert a member before the one at ``index``."""
        with self._members_only() as stock:
            return stock.insert(index, module)

    def clear(self) -> None:
        """Remove all the members of a ModuleDict."""
        with self._members_only() as stock:
            stock.clear()

    def keys(self) -> KeysView[str]:
        """Return the members' names."""
        return self._members().keys()

    def values(self) -> ValuesView[nn.Module]:
        """Return the members."""
        return self._members().values()

    def items(self) -> ItemsView[str, nn.Module]:
        """Return the members with their names."""
        return self._members().items()
