"""Build the toolboxes' backbones with plugins where a config places them."""

from .resnet import ResNet, ResNetV1c, ResNetV1d, ResNeXt
from .se_resnet import SEResNet, SEResNeXt
from .self_attention_net import SelfAttentionNet
from .senet import SENet
from .with_plugins import WithPlugins

__all__ = [
    "ResNeXt",
    "ResNet",
    "ResNetV1c",
    "ResNetV1d",
    "SENet",
    "SEResNeXt",
    "SEResNet",
    "SelfAttentionNet",
    "WithPlugins",
]
