"""Non-local and Squeeze-and-Excitation attention for OpenMMLab."""

__version__ = "0.1.0"
