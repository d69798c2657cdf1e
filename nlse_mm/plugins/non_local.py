"""The non-local block, for sequences, maps and volumes.

Letters: N images, C channels, D channels inside, P positions that ask, Q positions
looked at (P after pooling, when sub-sampled).
"""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import constant_init, normal_init
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nlse_mm import ops
from nlse_mm.arguments import checked
from nlse_mm.registry import MODELS

from .frozen_start import warn_of_frozen_start

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

    The P x Q weights are never stored: memory grows with N * P * D.

    The parameters have the names they have in ``mmcv.cnn.NonLocal2d``, whose
    checkpoints load, and the values are the same to rounding.

    Args:
        in_channels: Channels C of the input.
        reduction: D = max(C // reduction, 1).
        mode: The pairwise function, one of ``MODES``.
        use_scale: Whether an embedded Gaussian divides by the square root of D.
        sub_sample: Whether the positions looked at are max-pooled by 2 in height and
            width (section 3.3), which divides the pairwise cost by 4.
        pool_first: With ``sub_sample``, pool the input of phi and g, as the authors'
            code does, in place of their output, as the paper writes and MMCV does.
        conv_cfg: The 1x1 convolutions' config; a plain convolution when None.
        norm_cfg: The norm after the last convolution. The paper has a batch norm there.
        zeros_init: Start as the identity: what comes last, that norm or the last
            convolution, is zero.
        std: Standard deviation that the convolutions start with.

    Raises:
        ValueError: For an unknown ``mode``, or a ``reduction`` below 1.
    """

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
            raise ValueError(f"mode={mode!r} is not one of {MODES}")
        if reduction < 1:
            raise ValueError(f"reduction={reduction} is not an integer of at least 1")
        if pool_first and not sub_sample:
            raise ValueError("pool_first=True has no meaning without sub_sample=True")
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
            self.concat_project = ConvModule(
                2 * self.inter_channels, 1, 1, bias=False, act_cfg=dict(type="ReLU")
            )
        if sub_sample:
            pool = self.max_pool(self.pool_size)
            # The names of MMCV's parameters: g.0.conv.weight, phi.0.conv.weight.
            self.g = nn.Sequential(self.g, pool)
            self.phi = pool if mode == "gaussian" else nn.Sequential(self.phi, pool)
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
        last = self.conv_out.norm if self.conv_out.with_norm else self.conv_out.conv
        if zeros_init:
            constant_init(last, 0)
        else:
            normal_init(last, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` of shape (N, C, ...) to the same shape.

        Raises:
            ValueError: If ``x`` is too small to sub-sample.
        """
        if self.sub_sample and min(x.shape[2:][-2:]) < 2:
            size = " x ".join(map(str, x.shape[2:]))
            raise ValueError(f"sub_sample=True needs 2 positions each way, not {size}")
        if self.mode == "concatenation":
            a, b, g = self._concatenation_terms(x)
            y = ops.concatenation_attention(a, b, g)
        elif self.mode == "dot_product":
            y = ops.dot_product_attention(*self._project(x))
        else:
            y = ops.softmax_attention(*self._project(x), self._scale)
        last = self.conv_out
        mixed = torch.is_autocast_enabled(x.device.type)  # the sum stays in full
        if not mixed and (product := _as_product(last, x.dtype)):
            return ops.add_projection(x.flatten(2), y, *product).view(x.shape)
        y = y.transpose(1, 2).reshape(x.shape[0], y.shape[2], *x.shape[2:])
        return x + last(y)

    def attention(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """The weights a_ij with which the asked positions look at all others.

        Args:
            x: Input of shape (N, C, ...).
            positions: Flat indices of the positions that ask; all of them when None.

        Returns:
            Weights of shape (N, len(positions), Q). Those of the softmax modes sum to
            1 over Q.
        """
        if positions is None:
            positions = torch.arange(x[0, 0].numel(), device=x.device)
        if self.mode == "concatenation":
            a, b, _ = self._concatenation_terms(x)
            return (a[:, positions, None] + b[:, None, :]).relu() / b.shape[1]
        theta, phi, _ = self._project(x)
        weights = (theta[:, positions] * self._scale) @ phi.transpose(1, 2)
        if self.mode == "dot_product":
            return weights / phi.shape[1]
        return weights.softmax(dim=-1)

    @property
    def _scale(self) -> float:
        scaled = self.use_scale and self.mode == "embedded_gaussian"
        return self.inter_channels**-0.5 if scaled else 1.0

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Theta (N, P, D), phi (N, Q, D) and g (N, Q, D) of ``x``."""
        looked = self.g[1](x) if self.pool_first else x
        pool = self.sub_sample and not self.pool_first
        if self.mode == "gaussian":
            theta = phi = x.flatten(2).transpose(1, 2)
            if self.sub_sample:
                phi = self.phi(x).flatten(2).transpose(1, 2)
            return theta, phi, self._convolve(looked, "g", pool=pool)
        if not self.sub_sample:
            return self._convolve(x, "theta", "phi", "g").chunk(3, dim=2)
        theta = self._convolve(x, "theta")
        return theta, *self._convolve(looked, "phi", "g", pool=pool).chunk(2, dim=2)

    def _convolve(self, x: Tensor, *names: str, pool: bool = False) -> Tensor:
        """The named projections of ``x``, side by side: (N, P or Q, D * len(names))."""
        modules = [getattr(self, name) for name in names]
        modules = [m[0] if isinstance(m, nn.Sequential) else m for m in modules]
        if all(_is_plain(m.conv) for m in modules):
            # One product for all: each reads the whole map.
            weight = torch.cat([m.conv.weight.flatten(1) for m in modules])
            bias = torch.cat([m.conv.bias for m in modules])
            if not pool:
                return ops.project(x.flatten(2), weight, bias)
            # The largest sum with the bias is that with the largest, rounded or not.
            y = weight.expand(x.shape[0], -1, -1).bmm(x.flatten(2))
            y = self.g[1](y.unflatten(2, x.shape[2:])).flatten(2).transpose(1, 2)
            return y + bias.to(y.dtype)
        y = torch.cat([m(x) for m in modules], dim=1)
        return (self.g[1](y) if pool else y).flatten(2).transpose(1, 2)

    def _concatenation_terms(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The a (N, P) and b (N, Q) of w^T [theta_i, phi_j] = a_i + b_j, and g."""
        looked = self.g[1](x) if self.pool_first else x
        pool = self.sub_sample and not self.pool_first
        weights = self.concat_project.conv.weight.flatten(1).chunk(2, dim=1)
        return (
            self._reduce(x, "theta", weights[0]),
            self._reduce(looked, "phi", weights[1], pool=pool),
            self._convolve(looked, "g", pool=pool),
        )

    def _reduce(
        self, x: Tensor, name: str, weight: Tensor, pool: bool = False
    ) -> Tensor:
        """The named projection's products (N, P or Q) with ``weight`` (1, D)."""
        module = getattr(self, name)
        conv = (module[0] if isinstance(module, nn.Sequential) else module).conv
        if pool or not _is_plain(conv):
            # As a column: onnxruntime 1.31 optimises products with vectors into wrong
            # ones.
            return (self._convolve(x, name, pool=pool) @ weight.T)[..., 0]
        # A product of the weights first: no (N, P, D) tensor is made.
        folded = weight @ conv.weight.flatten(1), (weight @ conv.bias[:, None])[0]
        return ops.project(x.flatten(2), *folded)[..., 0]


def _as_product(
    last: ConvModule, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None] | None:
    """Weight (C, D) and bias (C,) of the last convolution and its norm, or None.

    A batch norm in inference is a scale and a shift, which go into the product; in half
    precision it isn't done, as the norm computes in single.
    """
    if not _is_plain(last.conv):
        return None
    weight = last.conv.weight.flatten(1)
    if not last.with_norm:
        return weight, last.conv.bias
    norm = last.norm  # with which the convolution has no bias
    fixed = isinstance(norm, _BatchNorm) and not norm.training
    if not fixed or norm.running_var is None or dtype.itemsize < 4:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return weight * scale[:, None], shift + norm.bias if norm.affine else shift


def _is_plain(conv: nn.Module) -> bool:
    """Whether a 1x1 convolution is a matrix product and nothing else."""
    return type(conv) in (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, reduction=1, std=0), itself=("mode",))
class NonLocal1d(_NonLocalNd):
    __doc__ = _NonLocalNd.__doc__
    _abbr_ = "nonlocal_block"
    conv_type = "Conv1d"
    max_pool = nn.MaxPool1d
    pool_size = 2


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, reduction=1, std=0), itself=("mode",))
class NonLocal2d(_NonLocalNd):
    __doc__ = _NonLocalNd.__doc__
    _abbr_ = "nonlocal_block"
    conv_type = "Conv2d"
    max_pool = nn.MaxPool2d
    pool_size = 2


@MODELS.register_module()
@checked(at_least=dict(in_channels=1, reduction=1, std=0), itself=("mode",))
class NonLocal3d(_NonLocalNd):
    __doc__ = _NonLocalNd.__doc__
    _abbr_ = "nonlocal_block"
    conv_type = "Conv3d"
    max_pool = nn.MaxPool3d
    pool_size = (1, 2, 2)
