"""Refuse arguments that the annotations of a constructor don't allow.

A wrong type that a constructor takes without a word (``sub_sample='False'`` is true)
would change a training silently; one that it stumbles over would end in a traceback.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from mmengine.registry import MODELS, WEIGHT_INITIALIZERS, Registry

from nlse_mm.errors import ArgumentError

from .hints import describe, fits, hints_of
from .names import near_names
from .refusal import layer_refusal
from .stock import SCOPE, check_names, check_stock, stock_parameters

# Arguments that are configs wherever they occur, with a type that they may have.
CONFIGS = dict(
    norm_cfg="BN", conv_cfg="Conv2d", act_cfg="ReLU", dcn="DCNv2", init_cfg="Kaiming"
)
# What arguments inside them take that have no annotation.
_INSIDE = dict(checkpoint=str, val=float)

Target = TypeVar("Target", bound=Callable[..., Any])


@overload
def checked(target: Target) -> Target: ...


@overload
def checked(
    *,
    at_least: Mapping[str, float] | None = None,
    itself: Sequence[str] = (),
    models: Sequence[str] = (),
) -> Callable[[Target], Target]: ...


def checked(
    target: Callable[..., Any] | None = None,
    *,
    at_least: Mapping[str, float] | None = None,
    itself: Sequence[str] = (),
    models: Sequence[str] = (),
) -> Callable[..., Any]:
    """Make a class or a function refuse arguments that its annotations don't allow.

    What a class hands on by ``**kwargs`` is checked against the signatures of its stock
    parents, as far as those can be relied on.

    Args:
        target: The class, whose ``__init__`` is wrapped, or the function.
        at_least: The least value of arguments that are numbers.
        itself: Arguments that the target checks by itself.
        models: Arguments that are configs of models, beside ``CONFIGS``.

    Raises:
        ArgumentError: When the target is called, for an argument of an unknown name,
            a missing one, and a value of a wrong type, too small or not finite.
    """
    if target is None:
        return functools.partial(
            checked, at_least=at_least, itself=itself, models=models
        )
    cls = target if inspect.isclass(target) else None
    function = target if cls is None else cls.__init__
    signature = inspect.signature(function)
    is_ours = (getattr(function, "__module__", None) or "").startswith(SCOPE)
    hints = hints_of(function) if is_ours else {}
    parameters = signature.parameters
    is_open = cls is None and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    taken = stock_parameters(target)
    name = f"{SCOPE}.{target.__name__}"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # A subclass of the user's may have put another parent behind this class.
        is_sub = cls is not None and args and type(args[0]) is not cls
        allowed = stock_parameters(type(args[0]), cls) if is_sub else taken
        if not is_open:
            check_names(name, kwargs, allowed)
        given = _bound(name, signature, args, kwargs)
        for key in (*CONFIGS, *models):
            if key not in itself:
                _check_config(name, key, given.get(key))
        for key in [k for k in given if k in hints and k not in itself]:
            least = (at_least or {}).get(key)
            if given[key] is not parameters[key].default:
                _check_value(f"{name}: {key}", given[key], hints[key], least)
        if cls is not None:
            stock = {n: p for n, p in allowed.items() if n not in hints}
            check_stock(name, given, stock)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            reason = layer_refusal(error, given)
            if reason is None:
                raise
            raise ArgumentError(f"{name}: MMCV refuses {reason}") from error

    # For what inspects signatures without following wrappers: MMEngine's managers.
    vars(call)["__signature__"] = signature
    if cls is None:
        return call
    cls.__init__ = call  # type: ignore[method-assign]  # what a decorator is for
    return cls


def is_registered(name: str, registry: Registry = MODELS) -> bool:
    """Return whether ``registry``, in the active scope, has that name."""
    return _registered(name, registry) is not None


def _registered(name: str, registry: Registry) -> Any:
    with registry.switch_scope_and_registry(None) as active:
        try:
            return active.get(name)
        except RuntimeError:  # what MMEngine raises for a name that is nowhere
            return None


def _check_value(name: str, value: Any, hint: Any, least: float | None) -> None:
    is_right = fits(value, hint)
    if is_right and (least is None or value is None or value >= least):
        return
    above = "" if least is None else f" of at least {least:g}"
    raise ArgumentError(f"{name}={value!r} is not {describe(hint, above)}")


def _bound(
    name: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments by name, those of ``**kwargs`` among them."""
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise ArgumentError(f"{name}: {error}") from None
    given: dict[str, Any] = {}
    for key, value in bound.items():
        kind = signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            given[key] = value
    return given


def _check_config(name: str, key: str, value: Any) -> None:
    """Raise ArgumentError for a config that names nothing to build.

    None and an empty dict pass: whether those will do is up to what builds from them.
    """
    if value is None or value == {}:
        return
    is_init = key == "init_cfg"
    for config in value if is_init and isinstance(value, list | tuple) else [value]:
        _check_type(
            f"{name}: {key}", config, WEIGHT_INITIALIZERS if is_init else MODELS
        )


def _check_type(key: str, config: Any, registry: Registry) -> None:
    example = CONFIGS.get(key.split(": ")[1])
    if not isinstance(config, Mapping) or "type" not in config:
        such = f", such as dict(type={example!r})" if example else ""
        raise ArgumentError(f"{key}={config!r} is not a dict with a 'type'{such}")
    kind = config["type"]
    built = _registered(kind, registry) if isinstance(kind, str) else kind
    if callable(built):
        # Unknown keys are left to what builds it: some are the builder's own.
        inside = {k: v for k, v in config.items() if k != "type"}
        check_stock(key, inside, stock_parameters(built), hints=_INSIDE)
        return
    with registry.switch_scope_and_registry(None) as active:
        names = {**registry.module_dict, **active.module_dict}
    near = near_names(str(kind), names, otherwise=False)
    such = f", such as {example!r}" if example and not near else near
    raise ArgumentError(f"{key}.type={kind!r} is not a registered name{such}")
