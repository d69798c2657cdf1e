"""Find which maps of a run are in a residual branch: joined with what isn't theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

# Additions, and the concatenations that ShuffleNet has where it halves the map.
_JOINS = {"add", "add_", "__add__", "__radd__", "__iadd__", "cat", "concat"}


class Shortcuts(TorchFunctionMode):
    """Follow, in one run of a model, what is made of the maps that modules return.

    A map is in a branch if something made of it is added to, or concatenated with, what
    is made of the model's inputs and not of it: the shortcut. Of what stands before or
    after a residual block the shortcut is made as well. The top-down path of a pyramid
    has shortcuts of this kind, too.

    Args:
        returned: By path, what the module there has returned so far.
        inputs: What the model is given.
    """

    def __init__(self, returned: Mapping[str, Sequence[Any]], inputs: Any) -> None:
        super().__init__()
        self.returned = returned
        self._of_inputs = {id(t): t for t in _tensors(inputs)}
        # By path and identity, alive so that no other tensor gets that identity.
        self._made: dict[str, dict[int, Tensor]] = {path: {} for path in returned}
        self.joined: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and note of which maps its result is made."""
        given = _tensors((args, kwargs or {}))
        own = {path: [self._is_of(t, path) for t in given] for path in self._made}
        out = func(*args, **(kwargs or {}))
        results = _tensors(out)
        if any(self._is_of_inputs(t) for t in given):
            self._of_inputs.update((id(t), t) for t in results)
        for path, are_own in own.items():
            if not any(are_own):
                continue
            others = [t for t, is_own in zip(given, are_own, strict=True) if not is_own]
            is_shortcut = any(self._is_of_inputs(t) for t in others)
            if is_shortcut and getattr(func, "__name__", "") in _JOINS:
                self.joined.add(path)
            self._made[path].update((id(t), t) for t in results)
        return out

    def _is_of_inputs(self, tensor: Tensor) -> bool:
        return id(tensor) in self._of_inputs

    def _is_of(self, tensor: Tensor, path: str) -> bool:
        return id(tensor) in self._made[path] or any(
            tensor is root for root in _tensors(self.returned[path])
        )


def _tensors(tree: Any) -> list[Tensor]:
    """Return a call's tensors, but for the model's weights."""
    leaves = tree_flatten(tree)[0]
    return [t for t in leaves if isinstance(t, Tensor) and type(t) is not nn.Parameter]
