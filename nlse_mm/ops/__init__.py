"""The pairwise operations, exact and in memory linear in the positions.

Pure PyTorch: nothing here needs an OpenMMLab package.

Shapes, in every file of ops and plugins: N batch, C channels of a map, H height, W
width, ``*`` any number of spatial dimensions, P queries, Q keys, D channels of queries
and keys, E channels of values, h heads.
"""

import torch.fx

from .concatenation import concatenation_attention
from .dot_product import dot_product_attention
from .precision import is_autocast
from .projection import add_projection, project
from .softmax import softmax_attention

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
