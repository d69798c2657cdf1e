"""The pairwise operations, exact and in memory linear in the positions.

Pure PyTorch: nothing here needs an OpenMMLab package.
"""

from .concatenation import concatenation_attention
from .dot_product import dot_product_attention
from .projection import add_projection, project
from .softmax import softmax_attention

__all__ = [
    "add_projection",
    "concatenation_attention",
    "dot_product_attention",
    "project",
    "softmax_attention",
]
