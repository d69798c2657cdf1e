"""Check what a config hands to a constructor against what the constructor takes."""

from .checked import CONFIGS, checked, is_registered
from .hints import fits
from .names import near_names
from .refusal import (
    blame,
    frames_of,
    is_meant,
    is_raised,
    is_stock,
    last_of,
    message_of,
    refusal,
)
from .stock import build_stock, check_names, stock_parameters

__all__ = [
    "CONFIGS",
    "blame",
    "build_stock",
    "check_names",
    "checked",
    "fits",
    "frames_of",
    "is_meant",
    "is_raised",
    "is_registered",
    "is_stock",
    "last_of",
    "message_of",
    "near_names",
    "refusal",
    "stock_parameters",
]
