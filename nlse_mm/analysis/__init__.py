"""Looking at attention."""

from .heads import Heads, look_at_heads

__all__ = ["Heads", "look_at_heads"]
