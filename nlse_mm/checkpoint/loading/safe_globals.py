"""Allow the types that MMEngine's checkpoints hold for safe loading.

From 2.6 on, PyTorch loads tensors and plain containers, and refuses every other type
that isn't on its list. MMEngine 0.10.7 puts these into its checkpoints besides:

- ``HistoryBuffer`` (the logged scalars), with its NumPy arrays,
- its statistics methods, each pickled as ``getattr(HistoryBuffer, 'mean')``,
- ``OneCycleLR``'s annealing function, pickled in the same way,
- NumPy scalars (best scores of metrics) and numeric arrays (the dataset's meta data),
- ``ConfigDict`` (the dataset's meta data again, where a config wrote a dict).

``builtins.getattr`` itself would open the door to any attribute of any module, so its
name leads to a stand-in that serves the pairs above and nothing else.
"""

from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

_ATTRIBUTES = {
    HistoryBuffer: ("min", "max", "current", "mean"),
    OneCycleParamScheduler: ("_annealing_cos", "_annealing_linear"),
}
# Bool, integers and floats; a dtype of objects or a compound one isn't among them.
_NUMBERS = "?bBhHiIlLqQefd"


def _getattr(owner: Any, name: Any) -> Callable[..., Any]:
    if isinstance(owner, type) and name in _ATTRIBUTES.get(owner, ()):
        return getattr(owner, name)
    raise UnpicklingError(
        f"GLOBAL builtins.getattr({getattr(owner, '__name__', type(owner))},{name!r})"
    )


def _allowed() -> dict[str, Any]:
    reconstruct = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    allowed: dict[str, Any] = {"builtins.getattr": _getattr}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # NumPy 1 and 2
        allowed[f"{module}._reconstruct"] = reconstruct
        allowed[f"{module}.scalar"] = scalar
    types = [HistoryBuffer, OneCycleParamScheduler, ConfigDict, np.ndarray, np.dtype]
    types += {type(np.dtype(kind)) for kind in _NUMBERS}
    return allowed | {f"{t.__module__}.{t.__qualname__}": t for t in types}


ALLOWED = _allowed()


def allow_mmengine_types() -> None:
    """Let ``torch.load(..., weights_only=True)`` read MMEngine's checkpoints.

    Needs PyTorch 2.4 or newer; older ones have no such list, and our own loader takes
    ``restricted_pickle`` there. Calling it again changes nothing.
    """
    if has_safe_globals():
        torch.serialization.add_safe_globals(list(_UNDER_THEIR_NAMES))


def has_safe_globals() -> bool:
    """Return whether this PyTorch has a list of allowed types."""
    return hasattr(torch.serialization, "add_safe_globals")


def _named(full_name: str, target: Any) -> Any:
    # PyTorch finds a function under its own name; (function, name) pairs came later
    # than the list itself.
    module, _, name = full_name.rpartition(".")
    if (target.__module__, target.__qualname__) == (module, name):
        return target

    def stand_in(*args: Any) -> Any:
        return target(*args)

    stand_in.__module__ = module
    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


_UNDER_THEIR_NAMES = tuple(_named(name, target) for name, target in ALLOWED.items())
