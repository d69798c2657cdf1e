"""Check arguments by the signatures of the toolboxes, and build their classes."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nlse_mm.errors import ArgumentError

from .hints import STOCK_HINTS, describe, fits, fits_loosely
from .names import near_names, short
from .refusal import is_stock_module, refusal

SCOPE = "nlse_mm"


def stock_parameters(
    cls: Callable[..., Any], start: type | None = None
) -> dict[str, inspect.Parameter]:
    """Return what a class takes by name, itself or by ``**kwargs`` for its parents.

    Of a function, which may be registered as well, its own parameters. What code of the
    user's own takes may be anything, whatever its annotations: it has Any for each.

    Args:
        cls: The class.
        start: The one of its parents with which to start; ``cls`` if None.
    """
    if not inspect.isclass(cls):
        return _parameters(cls)
    found: dict[str, inspect.Parameter] = {}
    for parent in cls.__mro__[cls.__mro__.index(start or cls) :]:
        if "__init__" not in vars(parent) or parent is object:
            continue
        parameters = _parameters(vars(parent)["__init__"])
        for key, parameter in parameters.items():
            found.setdefault(key, parameter)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
            break
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p for n, p in found.items() if p.kind in named and n != "self"}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    module = getattr(function, "__module__", None) or ""
    if is_stock_module(module) or module.startswith(SCOPE):
        return dict(parameters)
    return {n: p.replace(annotation=Any) for n, p in parameters.items()}


def check_names(
    name: str, given: Mapping[str, Any], allowed: Mapping[str, inspect.Parameter]
) -> None:
    """Raise ArgumentError for names in ``given`` that aren't among ``allowed``."""
    unknown = [key for key in given if key not in allowed]
    if unknown:
        written = ", ".join(f"{key!r} (given {short(given[key])})" for key in unknown)
        raise ArgumentError(
            f"{name} has no argument {written}{near_names(unknown[0], allowed)}; what "
            "a _base_ config left here goes with _delete_=True"
        )


def check_stock(
    name: str,
    given: Mapping[str, Any],
    parameters: Mapping[str, inspect.Parameter],
    hints: Mapping[str, Any] = STOCK_HINTS,
) -> None:
    """Raise ArgumentError for a value that a stock signature clearly doesn't mean.

    Args:
        name: Of what takes the arguments.
        given: Arguments by name.
        parameters: The stock signature's.
        hints: What those take that have neither an annotation nor a bool as default.
    """
    for key in [k for k in given if k in parameters]:
        value, parameter = given[key], parameters[key]
        if value is parameter.default:
            continue
        hint, fit = parameter.annotation, fits_loosely
        if hint is inspect.Parameter.empty:
            if isinstance(parameter.default, bool):
                hint = bool
            else:
                hint, fit = hints.get(key, Any), fits
        if not fit(value, hint):
            raise ArgumentError(f"{name}: {key}={value!r} is not {describe(hint)}")


def build_stock(
    name: str,
    cls: type,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    hints: Mapping[str, Any] = STOCK_HINTS,
    own: Mapping[str, inspect.Parameter] | None = None,
) -> Any:
    """Build a class of a toolbox; what it refuses ends in a sentence about ``name``.

    Args:
        name: What the config called.
        cls: The toolbox's class.
        args: Arguments by position.
        kwargs: Arguments by name.
        hints: As of ``check_stock``.
        own: What ``name`` takes beside the arguments of ``cls``.

    Raises:
        ArgumentError: If the toolbox's code raises anything: all that it was given came
            from the user.
    """
    parameters = stock_parameters(cls)
    by_name = {**dict(zip(parameters, args, strict=False)), **kwargs}
    check_stock(name, by_name, parameters, hints)
    try:
        return cls(*args, **kwargs)
    except Exception as error:
        reason = refusal(error, by_name)
        if reason is None:
            raise
        # Python names one of them, without what is near it.
        if "unexpected keyword argument" in reason:
            check_names(name, kwargs, {**(own or {}), **parameters})
        package = cls.__module__.split(".")[0]
        raise ArgumentError(
            f"{name}: {package}'s {cls.__name__} refuses {reason}"
        ) from error
