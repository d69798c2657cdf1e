"""Build the toolboxes' backbones with plugins where a config places them."""

from .resnet import ResNet, ResNetV1c, ResNetV1d, ResNeXt
from .resnet3d import ResNet3d, ResNet3dSlowOnly
from .se_resnet import SEResNet, SEResNeXt
from .self_attention_net import SelfAttentionNet
from .senet import SENet
from .with_plugins import WithPlugins

__all__ = [
    "ResNeXt",
    "ResNet",
    "ResNet3d",
    "ResNet3dSlowOnly",
    "ResNetV1c",
    "ResNetV1d",
    "SENet",
    "SEResNeXt",
    "SEResNet",
    "SelfAttentionNet",
    "WithPlugins",
]
