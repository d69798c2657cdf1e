"""Load safely on PyTorch below 2.4, which has no list of allowed types to extend.

This module is given to ``torch.load`` as its ``pickle_module``.
"""

import pickle
from typing import Any, BinaryIO

from torch._weights_only_unpickler import _get_allowed_globals

from .safe_globals import ALLOWED


class Unpickler(pickle.Unpickler):
    """Unpickle PyTorch's allowed names and ours, no other."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an allowed name stands for; UnpicklingError for any other."""
        # Protocol 2, PyTorch's, writes Python 2's name.
        full_name = f"{module.replace('__builtin__', 'builtins')}.{name}"
        for allowed in (_get_allowed_globals(), ALLOWED):
            if full_name in allowed:
                return allowed[full_name]
        raise pickle.UnpicklingError(f"GLOBAL {full_name} is not allowed")


def load(file: BinaryIO, **options: Any) -> Any:
    """Return one pickled object; ``options`` are those of ``pickle.Unpickler``."""
    return Unpickler(file, **options).load()
