"""Give a built module a subclass of its own class, one that can be pickled."""

from functools import cache

from torch import nn


def mix_in(module: nn.Module, mixin: type) -> None:
    """Make ``module`` an instance of a class that puts ``mixin`` before its own.

    Nothing of the module's state changes. The class is made once for each pair, so
    that ``torch.compile`` keeps plugged and plain blocks apart and shares what it
    compiled among the plugged ones; copies and pickles name the pair.
    """
    module.__class__ = _mixed(mixin, type(module))


@cache
def _mixed(mixin: type, base: type) -> type:
    return type(
        f"Plugged{base.__name__}",
        (mixin, base),
        {
            "__module__": base.__module__,
            "__doc__": base.__doc__,
            "__reduce_ex__": lambda self, _: (
                _empty,
                (mixin, base),
                self.__dict__.copy(),
            ),
        },
    )


def _empty(mixin: type, base: type) -> nn.Module:
    cls = _mixed(mixin, base)
    return cls.__new__(cls)
