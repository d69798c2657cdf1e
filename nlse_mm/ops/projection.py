"""1x1 convolutions as matrix products, in the layout that attention wants.

Shapes: N batch, P positions, C channels of the map, D channels inside.
"""

from torch import Tensor


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1 convolution whose output has the channels last.

    A convolution writes (N, D, P); attention reads (N, P, D), and its products would
    copy. This product comes out right, and reads the map as it is.

    Args:
        x: (N, C, P).
        weight: (D, C).
        bias: (D,) or None.

    Returns:
        (N, P, D), contiguous.
    """
    x = x.transpose(1, 2)
    weight = weight.T.expand(x.shape[0], -1, -1)
    return x.bmm(weight) if bias is None else bias.baddbmm(x, weight)


def add_projection(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` plus a 1x1 convolution of ``y``, in one product.

    Exactly ``x`` where ``weight`` and ``bias`` are zero. A map with its channels last
    keeps them there.

    Args:
        x: (N, C, P).
        y: (N, P, D).
        weight: (C, D).
        bias: (C,) or None.

    Returns:
        (N, C, P).
    """
    if x.stride(1) == 1 and not x.is_contiguous():
        rows = x.transpose(1, 2)  # (N, P, C)
        z = rows.baddbmm(y, weight.T.expand(x.shape[0], -1, -1))
        return (z if bias is None else z.add_(bias)).transpose(1, 2)
    z = x.baddbmm(weight.expand(x.shape[0], -1, -1), y.transpose(1, 2))
    return z if bias is None else z.add_(bias[:, None])
