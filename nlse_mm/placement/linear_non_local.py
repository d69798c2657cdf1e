"""Let the blocks of MMCV's in a built model compute as ours do.

Shapes: those of :mod:`nlse_mm.ops`.
"""

import logging
from typing import Any

from mmcv.cnn import NonLocal1d, NonLocal2d, NonLocal3d
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import nn

from nlse_mm.errors import ConfigError
from nlse_mm.plugins.non_local import MODES, _NonLocalNd
from nlse_mm.plugins.pooling import MaxPool1d

from .first_batch import FirstBatch
from .mixin import mix_in

# What ours has beside MMCV's, and a subclass of MMCV's may have for something else.
_ADDED = vars(_NonLocalNd).keys() - set(dir(NonLocal2d))


class LinearNonLocal(_NonLocalNd):
    """Compute as our block with the layers that MMCV's constructor made.

    Mixed into an instance of MMCV's class, whose parameters have the same names.
    """

    def init_weights(self, *args: Any, **kwargs: Any) -> None:
        """Initialise as the instance's own class does."""
        stock: Any = super(_NonLocalNd, self)
        stock.init_weights(*args, **kwargs)


def use_linear_non_local(model: nn.Module) -> int:
    """Make each ``mmcv.cnn.NonLocal1d``, ``2d`` and ``3d`` compute in linear memory.

    In place: modules, parameters, hooks and keys stay the same objects, and the values
    the same to rounding, so that an optimizer or a wrapper made before stays valid. A
    subclass that computes something else, with a ``forward`` or pairwise function of
    its own, is left alone. Twice is as good as once.

    One line in the log, at the model's first batch, has the number and the memory.

    Args:
        model: Any model, wrapped or not.

    Returns:
        How many blocks compute so, those of an earlier call included.

    Raises:
        ConfigError: If ``model`` isn't an ``nn.Module``.

    Example:
        >>> model = nn.Sequential(NonLocal2d(8), nn.ReLU(), NonLocal3d(8))
        >>> use_linear_non_local(model), isinstance(model[0], NonLocal2d)
        (2, True)
    """
    return convert(model)[0]


def convert(model: nn.Module) -> tuple[int, FirstBatch | None]:
    """Do what :func:`use_linear_non_local` does; return what will log the line, too."""
    inner: Any = model
    while is_model_wrapper(inner):
        inner = inner.module
    if not isinstance(inner, nn.Module):
        raise ConfigError(f"model is of class {type(inner).__name__}, not an nn.Module")
    stock: list[nn.Module] = []
    left: list[str] = []
    number = 0
    for name, module in inner.named_modules():
        if isinstance(module, LinearNonLocal):
            number += 1
        elif isinstance(module, NonLocal1d | NonLocal2d | NonLocal3d):
            if _is_stock(module):
                stock.append(module)
            else:
                left.append(f"{name or 'the model'} ({type(module).__name__})")
    for module in stock:
        mix_in(module, LinearNonLocal)
        for pool in module.modules():
            if type(pool) is nn.MaxPool1d:
                pool.__class__ = MaxPool1d  # of the same state
    others = f"; left alone, as they compute in their own way: {', '.join(left)}"
    if stock:
        return number + len(stock), FirstBatch(inner, stock, others if left else "")
    if not number:
        line = "no mmcv.cnn.NonLocal1d, NonLocal2d or NonLocal3d to convert in "
        line += type(inner).__name__ + (others if left else "")
        print_log(line, logger="current", level=logging.WARNING)
    return number, None


def _is_stock(block: nn.Module) -> bool:
    """Tell whether a block computes what MMCV's does, and has no name of ours."""
    is_replaced = any(
        name in vars(block)
        or getattr(type(block), name) is not getattr(NonLocal2d, name)
        for name in ("forward", *MODES)
    )
    return not is_replaced and not any(hasattr(block, name) for name in _ADDED)
