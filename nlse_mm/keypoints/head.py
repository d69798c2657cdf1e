"""Predict a heatmap for each keypoint: Keypoint R-CNN's head.

Shapes: R regions of the whole batch, K keypoints, C channels, S cells of a map each
way.
"""

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, kaiming_init
from torch import Tensor, nn
from torch.nn import functional as F

from nlse_mm.arguments import checked
from nlse_mm.placement.entries import ConvEntry, Entries, parse_entries
from nlse_mm.placement.plugin import build_plugin, unique_name, warn_of_no_plugin
from nlse_mm.registry import MODELS

LEAST = dict(num_keypoints=1, num_convs=1, in_channels=1, conv_out_channels=1)


@MODELS.register_module()
@checked(at_least=dict(LEAST, loss_weight=0))
class KeypointRCNNHead(BaseModule):
    r"""Map a region to S x S cells for each keypoint, S being 4 times the input's.

    3x3 convolutions, a deconvolution of stride 2, bilinear upsampling by 2. The loss is
    the cross-entropy of a softmax over a map's S * S cells,

    .. math:: L = -\frac{1}{V} \sum_{r,k\ \mathrm{visible}}
              \log \mathrm{softmax}(m_{rk})_{c_{rk}},

    V being the number of labelled keypoints inside their regions. Mask R-CNN, section
    5; the division is Detectron's.

    Args:
        num_keypoints: Keypoints K.
        num_convs: Number of 3x3 convolutions.
        in_channels: Channels of the regions' features.
        conv_out_channels: Channels of the convolutions.
        plugins: Entries ``dict(cfg=dict(type=...), after_convs=(1, 3, 5, 7))``; the
            convolutions are counted from 0. The Non-local paper has a block after every
            second one.
        loss_weight: Factor of the loss.
        init_cfg: As MMEngine's.

    Raises:
        ConfigError: For a plugin entry that can't be placed.
    """

    def __init__(
        self,
        num_keypoints: int = 17,
        num_convs: int = 8,
        in_channels: int = 256,
        conv_out_channels: int = 512,
        plugins: Entries | None = None,
        loss_weight: float = 1.0,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        self.num_keypoints = num_keypoints
        self.loss_weight = loss_weight
        self.convs = nn.ModuleList(
            ConvModule(
                conv_out_channels if i else in_channels, conv_out_channels, 3, padding=1
            )
            for i in range(num_convs)
        )
        self.plugins = nn.ModuleDict()
        for entry in parse_entries(plugins, ConvEntry):
            entry.check(num_convs)
            self._add(entry, conv_out_channels)
        self.upsample = nn.ConvTranspose2d(
            conv_out_channels, num_keypoints, 4, stride=2, padding=1
        )

    def _add(self, entry: ConvEntry, channels: int) -> None:
        if not len(entry.after_convs):
            warn_of_no_plugin(entry.key, f"after_convs={entry.after_convs!r}")
        for i in entry.after_convs:
            name, plugin = build_plugin(entry.cfg, channels, entry.key)
            if f"after_conv{i}" not in self.plugins:
                self.plugins[f"after_conv{i}"] = nn.ModuleDict()
            place = self.plugins[f"after_conv{i}"]
            place.add_module(unique_name(place, name), plugin)

    def init_weights(self) -> None:
        """Initialise the head's own layers as He et al. do; plugins keep theirs."""
        if self.init_cfg:
            super().init_weights()
        else:
            for layer in (*(conv.conv for conv in self.convs), self.upsample):
                kaiming_init(layer, mode="fan_out", nonlinearity="relu")
        for place in self.plugins.children():
            for plugin in place.children():
                if callable(init := getattr(plugin, "init_weights", None)):
                    init()

    def forward(self, x: Tensor) -> Tensor:
        """Map features (R, C, S/4, S/4) to logits (R, K, S, S)."""
        for i, conv in enumerate(self.convs):
            x = conv(x)  # (R, C, S/4, S/4)
            if f"after_conv{i}" in self.plugins:
                for plugin in self.plugins[f"after_conv{i}"].children():
                    x = plugin(x)
        x = self.upsample(x)  # (R, K, S/2, S/2)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def loss(self, maps: Tensor, cells: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Return ``loss_keypoint`` of logits (R, K, S, S), cells and validity (R, K).

        Without a valid keypoint it is 0, with gradients of 0 for every parameter, so
        that data-parallel training doesn't wait for a process without people.
        """
        if not valid.any():
            nothing = maps.sum() * 0 + sum(p.sum() * 0 for p in self.parameters())
            return dict(loss_keypoint=nothing)
        logits = maps.flatten(2)[valid].float()  # (V, S * S)
        return dict(
            loss_keypoint=self.loss_weight * F.cross_entropy(logits, cells[valid])
        )
