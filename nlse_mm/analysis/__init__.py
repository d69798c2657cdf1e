"""Looking at attention, and at what it is good for."""

from .heads import Heads, look_at_heads
from .matched_class_accuracy import MatchedClassAccuracy

__all__ = ["Heads", "MatchedClassAccuracy", "look_at_heads"]
