"""Load safely on PyTorch below 2.4, which has no list of allowed types to extend.

This module is given to ``torch.load`` as its ``pickle_module``.
"""

import pickle
from collections import Counter
from typing import Any, BinaryIO

import torch
from torch._weights_only_unpickler import _get_allowed_globals

from .safe_globals import ALLOWED


def _latin1(text: Any, encoding: Any) -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"GLOBAL _codecs.encode({encoding!r})")
    return text.encode("latin1")


# What newer PyTorch allows by itself: plain data, and bytes, which protocol 2, and so
# each NumPy array in a checkpoint, writes as encoded text.
_ALLOWED_LATER: dict[str, Any] = {
    "_codecs.encode": _latin1,
    "builtins.bytearray": bytearray,
    "builtins.complex": complex,
    "builtins.set": set,
    "collections.Counter": Counter,
    "torch.device": torch.device,
    **{str(kind): kind for kind in (torch.bfloat16, torch.bool, torch.uint8)},
}


class Unpickler(pickle.Unpickler):
    """Unpickle PyTorch's allowed names and ours, no other."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an allowed name stands for; UnpicklingError for any other."""
        # Protocol 2, PyTorch's, writes Python 2's name.
        full_name = f"{module.replace('__builtin__', 'builtins')}.{name}"
        for allowed in (_ALLOWED_LATER, _get_allowed_globals(), ALLOWED):
            if full_name in allowed:
                return allowed[full_name]
        raise pickle.UnpicklingError(f"GLOBAL {full_name} is not allowed")


def load(file: BinaryIO, **options: Any) -> Any:
    """Return one pickled object; ``options`` are those of ``pickle.Unpickler``."""
    return Unpickler(file, **options).load()
