"""Start an SE backbone from published weights, and refuse those of another one."""

from typing import Any

from mmengine.model import BaseModule, PretrainedInit
from mmengine.model.weight_init import update_init_info
from torch import nn

from nlse_mm.checkpoint.conversion.published import (
    Published,
    fill_backbone,
    read_published,
)
from nlse_mm.errors import CheckpointError, ConfigError
from nlse_mm.placement.plugged_backbone import PluggedBackbone
from nlse_mm.placement.residual_block import number_of_convolutions

_KEYS = ("type", "checkpoint", "prefix", "map_location", "source")


class PublishedWeights(BaseModule):
    """Convert ``init_cfg``'s ``Pretrained`` weights; mixed into an SE backbone.

    MMEngine warns of keys that don't match, and trains with what it found; here the
    whole backbone has to be covered. Plugins and deformable convolutions' offsets are
    new layers, which published weights don't have.
    """

    se_position: str
    init_cfg: dict[str, Any] | list[dict[str, Any]] | tuple[dict[str, Any], ...] | None
    # What the toolboxes' ResNets have.
    layer1: nn.Sequential
    maxpool: nn.MaxPool2d
    style: str

    def init_weights(self) -> None:
        """Initialise the backbone, and load the weights of ``Pretrained`` last.

        Raises:
            ConfigError: For an entry of ``init_cfg`` that has no type, or a
                ``Pretrained`` with a key that there isn't or no name of weights.
            CheckpointError: If they don't cover the backbone, or were trained in one
                that computes something else.
        """
        first_time, init_cfg = not self.is_init, self.init_cfg
        configs = init_cfg or []
        configs = configs if isinstance(configs, list | tuple) else [configs]
        pretrained = [c for c in configs if _is_pretrained(c)]
        # MMEngine would load what fits and warn of the rest.
        self.init_cfg = [c for c in configs if c not in pretrained]
        try:
            super().init_weights()
        finally:
            self.init_cfg = init_cfg
        for config in pretrained if first_time else ():
            load_published(self, **{k: v for k, v in config.items() if k != "type"})

    def check_published(self, published: Published) -> None:
        """Raise CheckpointError for weights that were trained in another computation.

        They may be of the same keys and shapes.
        """
        _check_computation(self, published)


def load_published(backbone: PublishedWeights, checkpoint: str, **options: Any) -> None:
    """Fill an SE backbone with converted weights; arguments: ``PretrainedInit``'s."""
    published = read_published(checkpoint, **options)
    backbone.check_published(published)
    fill_backbone(backbone, published, _new_layers(backbone))
    if hasattr(backbone, "_params_init_info"):  # MMEngine's list for the log file
        update_init_info(backbone, f"Pretrained: converted from {checkpoint}")


def _is_pretrained(config: dict[str, Any]) -> bool:
    """Return whether an ``init_cfg`` loads weights; ConfigError if it can't be used."""
    if not isinstance(config, dict) or "type" not in config:
        raise ConfigError(
            f"init_cfg={config!r} is not a dict with a 'type', such as 'Pretrained'"
        )
    if config["type"] not in ("Pretrained", PretrainedInit):
        return False
    for key in config:
        if key not in _KEYS:
            raise ConfigError(f"init_cfg: the key {key!r} is not one of {_KEYS}")
    checkpoint = config.get("checkpoint")
    if not isinstance(checkpoint, str) or not checkpoint:
        raise ConfigError(
            f"init_cfg: checkpoint={checkpoint!r} is not a path or a name such as "
            "'timm://seresnet50.a1_in1k'"
        )
    return True


def _new_layers(backbone: nn.Module) -> list[str]:
    plugins = backbone.plugin_modules() if isinstance(backbone, PluggedBackbone) else []
    return [
        f"{name}."
        for name, module in backbone.named_modules()
        if name.endswith(".conv_offset") or any(module is p for p in plugins)
    ]


def _check_computation(backbone: PublishedWeights, published: Published) -> None:
    """Refuse weights of the same keys and shapes that want another computation."""
    # MMPretrain's names are ours too; only behind mmcls:// is it sure whose they are.
    is_mmcls = published.name.startswith("mmcls://")
    unsure = published.family == "mmpretrain" and not is_mmcls
    if unsure or published.family == "torchvision":
        return
    block = backbone.layer1[0]
    conv2 = published.weights.get("layer1.0.conv2.weight")
    is_bottleneck = number_of_convolutions(block) == 3
    grouped = conv2 is not None and conv2.shape[0] != conv2.shape[1]
    legacy = published.family == "timm-legacy"
    wanted: dict[str, Any] = dict(pool_ceil_mode=legacy, se_position="standard")
    found: dict[str, Any] = dict(
        pool_ceil_mode=backbone.maxpool.ceil_mode,
        se_position=backbone.se_position,
    )
    if is_bottleneck:  # a BasicBlock has no 1x1 convolution to put the stride in
        wanted["style"] = "caffe" if legacy and not grouped else "pytorch"
        found["style"] = backbone.style
    for key, value in wanted.items():
        if found[key] != value:
            raise CheckpointError(
                f"{published.name} ({published.family}) was trained with "
                f"{key}={value!r}, and the backbone has {key}={found[key]!r}"
            )
