"""Non-local and Squeeze-and-Excitation attention for OpenMMLab."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import check_environment
    from .placement.add_plugins import add_plugins
    from .placement.linear_non_local import use_linear_non_local

__all__ = ["add_plugins", "check_environment", "use_linear_non_local"]
__version__ = "0.1.0"
_HOMES = {
    "add_plugins": ".placement.add_plugins",
    "check_environment": ".environment",
    "use_linear_non_local": ".placement.linear_non_local",
}


def __getattr__(name: str) -> Any:
    """Import a function when it is asked for; importing nlse_mm is cheap."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
