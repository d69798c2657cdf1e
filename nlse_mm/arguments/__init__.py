"""What a config hands to a constructor: is it what the constructor takes?"""

from .checked import CONFIGS, checked, is_registered
from .names import near_names
from .refusal import blame, frames_of, is_stock, refusal
from .stock import ArgumentError, build_stock

__all__ = [
    "CONFIGS",
    "ArgumentError",
    "blame",
    "build_stock",
    "checked",
    "frames_of",
    "is_registered",
    "is_stock",
    "near_names",
    "refusal",
]
