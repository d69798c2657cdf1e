"""1x1 convolutions as matrix products.

Shapes: N batch, C channels of the map, P positions, D channels of a query or a key (or
of a value, where they are as many), E channels of values.
"""

from torch import Tensor


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    r"""Apply a 1x1 convolution by one product, without a copy of the map.

    .. math:: q_i = W x_i + b

    Its output has the channels where ``x`` has them in memory, first or last, and so
    have the gradients, which are then added to others of ``x`` at full speed. It costs
    N P C D multiplications, and no memory but its output's.

    Args:
        x: (N, C, P).
        weight: (D, C).
        bias: (D,) or None.

    Returns:
        (N, D, P).
    """
    # bmm: matmul may fold the batch into the rows, and copies a transposed map for it.
    if _is_channels_last(x):
        rows = x.transpose(1, 2)  # (N, P, C)
        weight = weight.T.expand(x.shape[0], -1, -1)  # (N, C, D)
        y = rows.bmm(weight) if bias is None else bias.baddbmm(rows, weight)
        return y.transpose(1, 2)  # (N, P, D), then (N, D, P)
    weight = weight.expand(x.shape[0], -1, -1)  # (N, D, C)
    return weight.bmm(x) if bias is None else bias[:, None].baddbmm(weight, x)


def add_projection(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    r"""Add a 1x1 convolution of ``y`` to ``x``, in one product.

    .. math:: z_i = x_i + W y_i + b

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equation 6. Exactly
    ``x`` where ``weight`` and ``bias`` are zero. A map with its channels last keeps
    them there. It costs N P C E multiplications, and no memory but its output's.

    Args:
        x: (N, C, P).
        y: (N, P, E).
        weight: (C, E).
        bias: (C,) or None.

    Returns:
        (N, C, P).
    """
    if _is_channels_last(x):
        rows = x.transpose(1, 2)  # (N, P, C)
        z = rows.baddbmm(y, weight.T.expand(x.shape[0], -1, -1))  # weight as (N, E, C)
        # In place: x has the summand's place in the product, and z is nobody else's.
        return (z if bias is None else z.add_(bias)).transpose(1, 2)  # (N, C, P)
    z = x.baddbmm(
        weight.expand(x.shape[0], -1, -1),  # (N, C, E)
        y.transpose(1, 2),  # (N, E, P)
    )
    return z if bias is None else z.add_(bias[:, None])  # bias as (C, 1)


def _is_channels_last(x: Tensor) -> bool:
    return x.stride(1) == 1 and not x.is_contiguous()
