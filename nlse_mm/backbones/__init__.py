"""The toolboxes' backbones with plugins placed where a config says."""

from .resnet import ResNet, ResNetV1c, ResNetV1d, ResNeXt

__all__ = ["ResNeXt", "ResNet", "ResNetV1c", "ResNetV1d"]
