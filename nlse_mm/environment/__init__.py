"""What is installed here and whether it works: ``check_environment``, and its page.

Nothing is imported but Python's own, until it is asked for.
"""

from .check import check_environment
from .findings import Environment, Finding, Way

__all__ = ["Environment", "Finding", "Way", "check_environment"]
