"""Run MMSegmentation's non-local head without its map of all pairs of positions."""

from typing import Any

from mmseg.models.decode_heads import NLHead as StockNLHead

from nlse_mm.arguments import checked
from nlse_mm.plugins import NonLocal2d
from nlse_mm.registry import MODELS


@MODELS.register_module()
@checked(at_least=dict(reduction=1), itself=("mode",))
class NLHead(StockNLHead):
    r"""Put a non-local block between the two convolutions of an FCN head.

    .. math:: \mathrm{logits} = W_s * \mathrm{conv}_3\,[x,\;
              \mathrm{conv}_2(\mathrm{NL}(\mathrm{conv}_1(x)))]

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, as MMSegmentation
    applies them. An instance of MMSegmentation's ``NLHead``: the same arguments, the
    same keys, the same logits to rounding. It differs in the memory, which grows with
    the number of positions and not with its square: at stride 8, the stock head's map
    of one 1024 x 2048 image takes 4 GiB.

    Args:
        reduction: The block works in ``channels // reduction`` channels.
        use_scale: Whether an embedded Gaussian divides by the square root of those.
        mode: The pairwise function: ``'embedded_gaussian'``, ``'gaussian'``,
            ``'dot_product'`` or ``'concatenation'``.
        kwargs: The arguments of MMSegmentation's ``FCNHead``, without ``num_convs``,
            which is 2: ``in_channels``, ``channels``, ``num_classes``,
            ``concat_input=True``, ``norm_cfg``, ``dropout_ratio`` and so on.

    Raises:
        ConfigError: For an unknown ``mode``, or a ``reduction`` below 1.

    Example:
        >>> import torch
        >>> from nlse_mm.segmentation import NLHead
        >>> head = NLHead(in_channels=64, channels=32, num_classes=19)
        >>> head([torch.rand(1, 64, 33, 65)]).shape
        torch.Size([1, 19, 33, 65])
    """

    def __init__(
        self,
        reduction: int = 2,
        use_scale: bool = True,
        mode: str = "embedded_gaussian",
        **kwargs: Any,
    ):
        # The stock head only passes these on to the block, which is replaced below;
        # with its defaults it can't stumble over what ours explains.
        super().__init__(**kwargs)
        self.reduction = reduction
        self.use_scale = use_scale
        self.mode = mode
        self.nl_block = NonLocal2d(
            self.channels,
            reduction=reduction,
            use_scale=use_scale,
            mode=mode,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
        )
