"""Errors raised on purpose, for a user error in a setting, a file or an argument.

Each message is one sentence that names the key, the value and what is allowed. The
launchers print it, without a traceback, and end with exit code 2.
"""


class ConfigError(ValueError):
    """Report a setting, a file or an argument that can't be used."""

    def __str__(self) -> str:
        """Return the sentence; a KeyError's own ``str`` is its ``repr``."""
        return Exception.__str__(self)


class ArgumentError(ConfigError, TypeError):
    """Report an argument of a wrong name, type or value."""


class CheckpointError(ConfigError, RuntimeError):
    """Report a checkpoint that can't be used."""


class UnknownNameError(ConfigError, KeyError):
    """Report a name under which nothing is registered."""


class MissingFileError(ConfigError, FileNotFoundError):
    """Report a file or folder that isn't there."""


class MissingPackageError(ConfigError, ImportError):
    """Report a package that isn't installed, or can't be imported."""
