"""Decode heads for MMSegmentation."""

from .nl_head import NLHead

__all__ = ["NLHead"]
