"""Models that no toolbox built: a ResNet as torchvision writes it, and containers."""

import torch
from plugged_models import NL
from torch import nn

from nlse_mm import add_plugins
from nlse_mm.plugins import NonLocal2d

ENTRIES = [
    dict(cfg=NL, after="layer3"),
    dict(cfg=dict(type=NonLocal2d), after="layer2.0"),
    dict(
        cfg=dict(type="nlse_mm.SELayer", reduction=4, zero_init=True), after="maxpool"
    ),
    dict(cfg=NL, output=-1),
]


class BasicBlock(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1:
            projection = nn.Conv2d(before, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class ResNet(nn.Module):
    """Returns logits; with ``how``, the maps of layer2 to layer4 in that form."""

    def __init__(self, how=None):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for i in range(1, 5):
            c = 4 << i
            first = BasicBlock(max(8, c // 2), c, 1 if i == 1 else 2)
            setattr(self, f"layer{i}", nn.Sequential(first, BasicBlock(c, c, 1)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)
        self.how = how

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        second = self.layer2(self.layer1(x))
        third = self.layer3(second)
        fourth = self.layer4(third)
        if self.how is None:
            return self.fc(self.avgpool(fourth).flatten(1))
        return self.how(second, third, fourth)


class Layers(nn.ModuleDict):
    """Runs its members, as torchvision's IntermediateLayerGetter does."""

    def forward(self, x):
        out = {}
        for name, layer in self.items():
            x = out[name] = layer(x)
        return out


class Children(nn.Module):
    """Runs whatever children it has."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        for child in self.children():
            x = child(x)
        return x


class Fusible(nn.Module):
    """A convolution with its norm layer, which fusing takes out of ``forward``."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()

    def forward_fuse(self, x):
        return self.conv(x).relu()

    def fuse(self):
        self.conv = nn.utils.fuse_conv_bn_eval(self.conv, self.bn)
        self.forward = self.forward_fuse
        del self.bn


def image():
    return torch.rand(2, 3, 64, 96)


def maps(*all_maps):
    return all_maps


def at_work(model, entries=ENTRIES):
    """The model in inference, with plugins that change the output."""
    add_plugins(model.eval(), entries, image())
    for plugin in model.plugin_modules():
        for parameter in plugin.parameters():
            nn.init.normal_(parameter, std=0.1)
    return model


def assert_equal(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
