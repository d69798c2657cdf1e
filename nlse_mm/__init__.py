"""Non-local and Squeeze-and-Excitation attention for OpenMMLab."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import check_environment

__all__ = ["check_environment"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import ``check_environment`` when it is asked for; importing nlse_mm is cheap."""
    if name in __all__:
        from . import environment

        return getattr(environment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
