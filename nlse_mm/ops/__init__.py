"""The pairwise operations, exact and in memory linear in the positions.

Pure PyTorch: nothing here needs an OpenMMLab package.

Shapes, in every file of ops and plugins: N batch, C channels of a map, H height, W
width, ``*`` any number of spatial dimensions, P queries, Q keys, D channels of queries
and keys, E channels of values, h heads.
"""

import torch.fx

from nlse_mm.torch_version import check_torch

check_torch()  # first, since what follows uses names that an older one lacks

from .concatenation import concatenation_attention  # noqa: E402
from .dot_product import dot_product_attention  # noqa: E402
from .precision import is_autocast  # noqa: E402
from .projection import add_projection, project  # noqa: E402
from .softmax import softmax_attention  # noqa: E402

__all__ = [
    "add_projection",
    "concatenation_attention",
    "dot_product_attention",
    "is_autocast",
    "project",
    "softmax_attention",
]

# One step in the graphs of torch.fx, which can't follow what depends on sizes.
for _name in ("concatenation_attention", "dot_product_attention", "softmax_attention"):
    torch.fx.wrap(_name)
