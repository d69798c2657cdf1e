"""A block that starts at zero and can't leave it is worth a warning."""

import logging

from mmengine.logging import print_log
from torch import nn


def warn_of_frozen_start(block: nn.Module, last: nn.Module, norm_cfg: object) -> None:
    """Warn if ``last``, the layer that is zero at the start, doesn't train.

    No gradient passes zeros, so nothing else in the block learns either. That is no
    error: a checkpoint may fill it.

    Args:
        block: The block that the warning names.
        last: Its last layer, a norm or a convolution.
        norm_cfg: The block's, which the warning repeats.
    """
    # Without a weight, as a norm without affine parameters, it isn't zero either.
    weight = getattr(last, "weight", None)
    if weight is None or weight.requires_grad:
        return
    print_log(
        f"{type(block).__name__} with norm_cfg={norm_cfg} and zeros_init=True: the "
        f"last layer, a {type(last).__name__}, is zero and does not train, so unless a "
        "checkpoint fills it the block stays the identity and learns nothing; a "
        "norm_cfg without requires_grad=False trains",
        logger="current",
        level=logging.WARNING,
    )
