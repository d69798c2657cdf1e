"""What a config hands to a constructor: is it what the constructor takes?"""

from .checked import CONFIGS, checked, is_registered
from .hints import fits
from .names import near_names
from .refusal import blame, frames_of, is_meant, is_stock, refusal
from .stock import ArgumentError, build_stock, stock_parameters

__all__ = [
    "CONFIGS",
    "ArgumentError",
    "blame",
    "build_stock",
    "checked",
    "fits",
    "frames_of",
    "is_meant",
    "is_registered",
    "is_stock",
    "near_names",
    "refusal",
    "stock_parameters",
]
