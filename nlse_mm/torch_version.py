"""Which PyTorch is too old, asked before anything of it is used that may be missing."""

import torch

from .errors import ConfigError

OLDEST = (2, 1)


def too_old(version: str) -> str | None:
    """Return what is wrong with a PyTorch of that version; None if nothing is.

    Example:
        >>> too_old("2.0.1+cu118")
        'nlse_mm needs PyTorch 2.1 or newer, and 2.0.1+cu118 is installed'
    """
    # Of NVIDIA's own builds, such as 2.1.0a0+32f93b1, the first two numbers are right.
    major, minor = version.split(".")[:2]
    if (int(major), int(minor)) >= OLDEST:
        return None
    oldest = ".".join(map(str, OLDEST))
    return f"nlse_mm needs PyTorch {oldest} or newer, and {version} is installed"


def check_torch() -> None:
    """Raise ConfigError if the installed PyTorch is too old."""
    if why := too_old(torch.__version__):
        raise ConfigError(why)
