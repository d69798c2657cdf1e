"""1x1 convolutions as matrix products, in the layout that attention wants.

Shapes: N batch, C channels of the map, P positions, D channels of a query or a key (or
of a value, where they are as many), E channels of values.
"""

from torch import Tensor


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    r"""Apply a 1x1 convolution whose output has the channels last.

    .. math:: q_i = W x_i + b

    A convolution writes (N, D, P); attention reads (N, P, D), and its products would
    copy. This product comes out right, and reads the map as it is. It costs N P C D
    multiplications, and no memory but its output's.

    Args:
        x: (N, C, P).
        weight: (D, C).
        bias: (D,) or None.

    Returns:
        (N, P, D), contiguous.
    """
    x = x.transpose(1, 2)  # (N, P, C)
    # bmm: matmul may fold the batch into the rows, and copies a transposed map for it.
    weight = weight.T.expand(x.shape[0], -1, -1)  # (N, C, D)
    return x.bmm(weight) if bias is None else bias.baddbmm(x, weight)  # (N, P, D)


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
    if x.stride(1) == 1 and not x.is_contiguous():
        rows = x.transpose(1, 2)  # (N, P, C)
        z = rows.baddbmm(y, weight.T.expand(x.shape[0], -1, -1))  # weight as (N, E, C)
        # In place: x has the summand's place in the product, and z is nobody else's.
        return (z if bias is None else z.add_(bias)).transpose(1, 2)  # (N, C, P)
    z = x.baddbmm(
        weight.expand(x.shape[0], -1, -1),  # (N, C, E)
        y.transpose(1, 2),  # (N, E, P)
    )
    return z if bias is None else z.add_(bias[:, None])  # bias as (C, 1)
