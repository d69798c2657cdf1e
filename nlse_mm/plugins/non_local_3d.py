"""The non-local block for volumes, in space, in time or in both.

Shapes: N batch, C channels, T frames, H height, W width, P queries, Q keys (P after
pooling, when sub-sampled), D channels of queries and keys, E of values (here D); G
groups of S positions that are keys of each other: with ``axis='space'`` T frames of
H W positions, with ``axis='time'`` H W places of T.
"""

import torch
from torch import Tensor, nn

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import MODELS

from .merged import add_output
from .non_local import _NonLocalNd

AXES = ("spacetime", "space", "time")


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, reduction=1, std=0), itself=("mode", "axis"))
class NonLocal3d(_NonLocalNd):
    r"""Add to each position of a volume a weighted mean over all, some or few others.

    .. math:: z_i = x_i + W_z \sum_{j \in A(i)} a_{ij}\, g(x_j)

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equations 1 and 6,
    with the pairwise functions of :class:`NonLocal2d`. The keys A(i) of a query are
    those of the paper's table 2d:

    ============= ===================================== ==========================
    ``spacetime`` all positions                         T H W keys
    ``space``     those of the same frame               H W keys
    ``time``      those of the same place, in any frame T keys
    ============= ===================================== ==========================

    A softmax sums to 1 over these keys, and Q is their number. The layers, and the norm
    among them, see the whole volume whatever the axis, and have the same parameters,
    so that the weights of one axis load into another.

    The weights are stored as little as in :class:`NonLocal2d`: memory grows with
    N * P * D numbers on every axis. ``space`` costs a T-th of the pairwise work of
    ``spacetime``, ``time`` an H W-th.

    Args:
        in_channels: As of :class:`NonLocal2d`, and so are the others but for two.
        sub_sample: Whether the keys and values are max-pooled by 2 in height and width,
            never in time: in ``spacetime`` and ``space`` a quarter of the pairs. In
            ``time`` the keys are frames of one place, and it has no meaning.
        axis: Which positions are a query's keys, one of ``AXES``.

    Raises:
        ConfigError: For an unknown ``axis``, ``sub_sample`` with ``axis='time'``, and
            what :class:`NonLocal2d` refuses.

    Example:
        >>> x = torch.rand(2, 8, 3, 6, 5)
        >>> block = NonLocal3d(8, axis="time")
        >>> torch.equal(block(x), x), block.attention(x).shape  # the identity at first
        (True, torch.Size([2, 1, 90, 3]))
    """

    conv_type = "Conv3d"
    max_pool = nn.MaxPool3d
    pool_size = (1, 2, 2)
    axis = "spacetime"  # of blocks pickled before there were others

    def __init__(
        self,
        in_channels: int,
        reduction: int = 2,
        mode: str = "embedded_gaussian",
        use_scale: bool = True,
        sub_sample: bool = False,
        pool_first: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        zeros_init: bool = True,
        std: float = 0.01,
        axis: str = "spacetime",
    ):
        if axis not in AXES:
            raise ConfigError(f"axis={axis!r} is not one of {AXES}")
        if axis == "time" and sub_sample:
            raise ConfigError(
                "sub_sample=True has no meaning with axis='time': it pools height and "
                "width, and a query's keys are the frames of its own place"
            )
        super().__init__(
            in_channels,
            reduction=reduction,
            mode=mode,
            use_scale=use_scale,
            sub_sample=sub_sample,
            pool_first=pool_first,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            zeros_init=zeros_init,
            std=std,
        )
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Add the means to ``x`` (N, C, T, H, W), in its own memory format.

        Raises:
            ConfigError: If ``x`` is too small to sub-sample.
        """
        if self.axis == "spacetime":
            return super().forward(x)
        self._check_size(x)
        # Groups as images of the batch: a view, or one copy of what is attended to.
        query, key, value = (t.flatten(0, 1) for t in self._groups(x))
        if self._keys_are_queries:
            key = query
        y = self._average(query, key, value)  # (N G, S, E)
        groups = x.shape[2] if self.axis == "space" else x.shape[3] * x.shape[4]
        y = y.unflatten(0, (-1, groups))  # (N, G, S, E)
        y = y if self.axis == "space" else y.transpose(1, 2)  # (N, T, H W, E)
        return add_output(x, y.flatten(1, 2), self.conv_out)  # (N, C, T, H, W)

    def attention(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Compute the weights a_ij that queries give to all of their keys.

        Args:
            x: Input of shape (N, C, T, H, W).
            positions: Flat indices of the queries in the volume, (t H + h) W + w; all
                positions when None.

        Returns:
            Weights of shape (N, 1, len(positions), Q), of the only head. The Q keys are
            with ``axis='spacetime'`` those of the volume, T H W or pooled T H' W'; with
            ``'space'`` those of the query's frame, H W or H' W'; with ``'time'`` the T
            frames. Those of the softmax modes sum to 1 over Q.
        """
        if self.axis == "spacetime":
            return super().attention(x, positions)
        self._check_size(x)
        wants_all = positions is None
        if positions is None:
            positions = torch.arange(x[0, 0].numel(), device=x.device)
        frame = positions.div(x.shape[3] * x.shape[4], rounding_mode="floor")
        place = positions % (x.shape[3] * x.shape[4])
        group, member = (frame, place) if self.axis == "space" else (place, frame)
        query, key, _ = self._groups(x)  # (N, G, S, D), (N, G, Q, D)
        if wants_all:
            weights = self._pair_weights(query.flatten(0, 1), key.flatten(0, 1))
            weights = weights.unflatten(0, query.shape[:2])  # (N, G, S, Q)
            return weights[:, group, member][:, None]  # (N, 1, len(positions), Q)
        # Each query with the keys of its group: (N len(positions), 1 or Q, D).
        query, key = query[:, group, member].flatten(0, 1)[:, None], key[:, group]
        weights = self._pair_weights(query, key.flatten(0, 1))
        weights = weights.unflatten(0, key.shape[:2])  # (N, len(positions), 1, Q)
        return weights.transpose(1, 2)  # (N, 1, len(positions), Q)

    @property
    def _keys_are_queries(self) -> bool:
        # One tensor for both, with which softmax attention costs a product less.
        return self.mode == "gaussian" and not self.sub_sample

    def _groups(self, x: Tensor) -> list[Tensor]:
        """Compute queries, keys and values as views by groups: (N, G, S, *) each."""
        # The frames are never pooled: (N, T, H W or H' W', *).
        volumes = [t.unflatten(1, (x.shape[2], -1)) for t in self._embed(x)]
        if self.axis == "space":
            return volumes
        return [volume.transpose(1, 2) for volume in volumes]  # (N, H W, T, *)
