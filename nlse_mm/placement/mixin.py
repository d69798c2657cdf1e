"""Give a built module a subclass of its own class, one that can be pickled."""

from functools import cache
from typing import Any, TypeVar, cast

from torch import nn

Mixin = TypeVar("Mixin", bound=nn.Module)


def mix_in(module: nn.Module, mixin: type[Mixin]) -> Mixin:
    """Make ``module`` an instance of a class that puts ``mixin`` before its own.

    Nothing of the module's state changes. The class is made once for each pair, so
    that ``torch.compile`` keeps plugged and plain blocks apart and shares what it
    compiled among the plugged ones; copies and pickles name the pair. A module that
    has a mixin already gets a further one in front.

    Returns:
        The module itself, as what it now is.
    """
    mixins, stock = vars(type(module)).get("_mixed_from", ((), type(module)))
    module.__class__ = _mixed((mixin, *mixins), stock)
    return cast("Mixin", module)


@cache
def _mixed(mixins: tuple[type, ...], stock: type) -> type[nn.Module]:
    mixed = type(
        f"Plugged{stock.__name__}",
        (*mixins, stock),
        {
            "__module__": stock.__module__,
            "__doc__": stock.__doc__,
            # A class made at run time can't be imported: pickle what it is made from.
            "__reduce_ex__": lambda self, _: (
                _empty,
                (mixins, stock),
                _state(self),
            ),
            "_mixed_from": (mixins, stock),
        },
    )
    return cast("type[nn.Module]", mixed)


def _state(module: nn.Module) -> Any:
    """Return what a copy is made of, by the class's own ``__getstate__`` if any."""
    # Python 3.10 has no default one.
    state = getattr(module, "__getstate__", lambda: module.__dict__)()
    return state.copy() if state is module.__dict__ else state


def _empty(mixins: tuple[type, ...], stock: type) -> nn.Module:
    cls = _mixed(mixins, stock)
    return cls.__new__(cls)


def return_itself(module: nn.Module) -> None:
    """Make ``train`` and ``eval`` of ``module`` return it, and leave it its class.

    Those of the toolboxes' backbones return None, against PyTorch's contract.
    """
    # Past ``nn.Module.__setattr__``; a mixin would change the class.
    module.__dict__["train"] = _Train(module)


class _Train:
    """Replace the bound method, which a copy of the module would not rebind."""

    def __init__(self, module: nn.Module):
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        type(self.module).train(self.module, mode)
        return self.module
