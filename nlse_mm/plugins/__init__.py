"""The attention blocks, ``(N, C, *) -> (N, C, *)``, one idea a file.

Shapes: those of :mod:`nlse_mm.ops`.
"""

from .non_local import NonLocal1d, NonLocal2d
from .non_local_3d import NonLocal3d
from .self_attention import SelfAttention2d
from .squeeze_excitation import SELayer

__all__ = ["NonLocal1d", "NonLocal2d", "NonLocal3d", "SELayer", "SelfAttention2d"]
