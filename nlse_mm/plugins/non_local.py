"""The non-local block, for sequences and maps, and what that for volumes shares.

Shapes: N batch, C channels, ``*`` one to three spatial dimensions, P queries, Q keys (P
after pooling, when sub-sampled), D channels of queries and keys, E of values (here D).
"""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import constant_init, normal_init
from torch import Tensor, nn

from nlse_mm import ops
from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.ops.tracing import is_recording
from nlse_mm.registry import MODELS

from .frozen_start import warn_of_frozen_start
from .merged import add_output, project, rows
from .pairs import embed_pairs, rectified_mean, rectified_weights
from .pooling import MaxPool1d, PoolFirst, check_poolable

MODES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


class _NonLocalNd(nn.Module):
    r"""Add to each position a weighted mean over all positions.

    .. math:: z_i = x_i + W_z \sum_j a_{ij}\, g(x_j)

    `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_, equations 1 and 6,
    with one of four pairwise functions :math:`a_{ij}`:

    ===================== ====================================================== =====
    ``embedded_gaussian`` softmax over j of :math:`\theta(x_i)^\top\phi(x_j) s`  eq. 3
    ``gaussian``          softmax over j of :math:`x_i^\top x_j`                 eq. 2
    ``dot_product``       :math:`\theta(x_i)^\top\phi(x_j) / Q`                  eq. 4
    ``concatenation``     :math:`\mathrm{ReLU}(w^\top[\theta(x_i),\phi(x_j)])/Q` eq. 5
    ===================== ====================================================== =====

    where :math:`s = 1 / \sqrt{D}` with ``use_scale``. That scale is not in the paper;
    the authors' code has it.

    The P x Q weights are never stored: memory grows with N * P * D numbers, in exported
    files, too. They are in what the TorchScript tracer records, and in mode
    ``concatenation`` where ``concat_project`` is hooked, and so called on all pairs.

    The parameters have the names they have in ``mmcv.cnn.NonLocal2d``, whose
    checkpoints load, and the values are the same to rounding.

    Args:
        in_channels: Channels C of the input.
        reduction: D = max(C // reduction, 1).
        mode: The pairwise function, one of ``MODES``.
        use_scale: Whether an embedded Gaussian divides by the square root of D.
        sub_sample: Whether the keys and values are max-pooled by 2 in height and
            width (section 3.3), which divides the pairwise cost by 4.
        pool_first: With ``sub_sample``, pool the input of phi and g, as the authors'
            code does, in place of their output, as the paper writes and MMCV does.
        conv_cfg: The 1x1 convolutions' config; a plain convolution when None.
        norm_cfg: The norm after the last convolution. The paper has a batch norm there.
        zeros_init: Start as the identity: what comes last, that norm or the last
            convolution, is zero.
        std: Standard deviation that the convolutions start with.

    Raises:
        ConfigError: For an unknown ``mode``, a ``reduction`` below 1, or ``pool_first``
            without ``sub_sample``.

    Example:
        >>> x = torch.rand(2, 8, 6, 5)
        >>> torch.equal(NonLocal2d(8, sub_sample=True)(x), x)  # the identity at first
        True
    """

    _abbr_ = "nonlocal_block"
    conv_type: str
    max_pool: type[nn.Module]
    pool_size: int | tuple[int, ...]

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
    ):
        super().__init__()
        if mode not in MODES:
            raise ConfigError(f"mode={mode!r} is not one of {MODES}")
        if reduction < 1:
            raise ConfigError(f"reduction={reduction} is not an integer of at least 1")
        if pool_first and not sub_sample:
            raise ConfigError("pool_first=True has no meaning without sub_sample=True")
        self.in_channels = in_channels
        self.inter_channels = max(in_channels // reduction, 1)
        self.reduction = reduction
        self.mode = mode
        self.use_scale = use_scale
        self.sub_sample = sub_sample
        self.pool_first = pool_first
        self.zeros_init = zeros_init
        self.std = std

        conv_cfg = conv_cfg or dict(type=self.conv_type)

        def project() -> ConvModule:
            return ConvModule(
                in_channels, self.inter_channels, 1, conv_cfg=conv_cfg, act_cfg=None
            )

        self.g = project()
        self.conv_out = ConvModule(
            self.inter_channels,
            in_channels,
            1,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=None,
        )
        if mode != "gaussian":
            self.theta = project()
            self.phi = project()
        if mode == "concatenation":
            # 2D for every block: it is called on the map of P x Q pairs.
            self.concat_project = ConvModule(
                2 * self.inter_channels, 1, 1, bias=False, act_cfg=dict(type="ReLU")
            )
        if sub_sample:
            pool = self.max_pool(self.pool_size)
            # The names of MMCV's parameters: g.0.conv.weight, phi.0.conv.weight.
            both = PoolFirst if pool_first else nn.Sequential
            self.g = both(self.g, pool)
            self.phi = pool if mode == "gaussian" else both(self.phi, pool)
        self.init_weights()
        if zeros_init:
            last = self.conv_out.norm if self.conv_out.with_norm else self.conv_out.conv
            warn_of_frozen_start(self, last, norm_cfg)

    def init_weights(
        self, std: float | None = None, zeros_init: bool | None = None
    ) -> None:
        """Initialise as MMCV does, with the constructor's ``std`` and ``zeros_init``.

        MMEngine calls this without arguments before training.
        """
        std = self.std if std is None else std
        zeros_init = self.zeros_init if zeros_init is None else zeros_init
        for name, module in self.named_modules():
            # By name and type, since sub-sampling wraps g and phi with their pooling.
            projects = name.split(".")[0] in ("g", "theta", "phi")
            if projects and isinstance(module, ConvModule):
                normal_init(module.conv, std=std)
        # The paper's batch norm has a scale that starts at zero (section 4.1).
        last = self.conv_out.norm if self.conv_out.with_norm else self.conv_out.conv
        if zeros_init:
            constant_init(last, 0)
        else:
            normal_init(last, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """Add the means to ``x`` (N, C, *), in its own memory format.

        Raises:
            ConfigError: If ``x`` is too small to sub-sample.
        """
        self._check_size(x)
        return add_output(x, self._average(*self._embed(x)), self.conv_out)

    def attention(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Compute the weights a_ij that queries give to all keys.

        Args:
            x: Input of shape (N, C, ...).
            positions: Flat indices of the queries; all positions when None.

        Returns:
            Weights of shape (N, 1, len(positions), Q), of the only head. Those of the
            softmax modes sum to 1 over Q.
        """
        self._check_size(x)
        if positions is None:
            positions = torch.arange(x[0, 0].numel(), device=x.device)
        query, key, _ = self._embed(x)
        # (N, 1, len(positions), Q)
        return self._pair_weights(query[:, positions], key)[:, None]

    def _average(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Average the values by the weights of what ``_embed`` computes: (N, P, E)."""
        if self.mode == "concatenation":
            return rectified_mean(query, key, value, self.concat_project)
        if self.mode == "dot_product":
            return ops.dot_product_attention(query, key, value)
        return ops.softmax_attention(query, key, value, self._scale)

    def _pair_weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Compute the weights (N, P, Q) of what ``_embed`` computes."""
        if self.mode == "concatenation":
            return rectified_weights(query, key, self.concat_project)
        weights = (query * self._scale) @ key.transpose(1, 2)  # (N, P, Q)
        if self.mode == "dot_product":
            return weights / key.shape[1]
        return weights.softmax(dim=-1)

    @property
    def _scale(self) -> float:
        scaled = self.use_scale and self.mode == "embedded_gaussian"
        return self.inter_channels**-0.5 if scaled else 1.0

    def _check_size(self, x: Tensor) -> None:
        # Not in a graph, whose sizes a comparison would fix.
        if self.sub_sample and not is_recording(x):
            check_poolable(x)

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute queries (N, P, D), keys (N, Q, D), values (N, Q, E); or see pairs."""
        if self.mode == "concatenation":
            return embed_pairs(x, self)
        if self.mode == "gaussian":
            # The map itself is queries and keys: D = C, and one view does for both.
            (g,) = project(x, self.g)  # (N, Q, E)
            query = rows(x)  # (N, P, C); first, as the gradients' sum has an order
            key = rows(self.phi(x)) if self.sub_sample else query  # (N, Q, C)
            return query, key, g
        theta, phi, g = project(x, self.theta, self.phi, self.g)
        return theta, phi, g


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, reduction=1, std=0), itself=("mode",))
class NonLocal1d(_NonLocalNd):
    __doc__ = _NonLocalNd.__doc__
    conv_type = "Conv1d"
    max_pool = MaxPool1d
    pool_size = 2


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, reduction=1, std=0), itself=("mode",))
class NonLocal2d(_NonLocalNd):
    __doc__ = _NonLocalNd.__doc__
    conv_type = "Conv2d"
    max_pool = nn.MaxPool2d
    pool_size = (2, 2)
