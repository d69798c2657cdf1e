"""Convert published weights of other libraries to our names."""

from .families import FAMILIES
from .published import load_state_dict_from

__all__ = ["FAMILIES", "load_state_dict_from"]
