"""Non-local and Squeeze-and-Excitation attention for OpenMMLab."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import check_environment
    from .placement.add_plugins import add_plugins

__all__ = ["add_plugins", "check_environment"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a function when it is asked for; importing nlse_mm is cheap."""
    if name == "check_environment":
        from .environment import check_environment

        return check_environment
    if name == "add_plugins":
        from .placement.add_plugins import add_plugins

        return add_plugins
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
