# SE-VGG-16 with BN on ImageNet, MMPretrain's recipe: SE after the ReLU of each of the
# 13 convolutions.
# Baseline: 73.74 top-1 (MMPretrain). Paper: VGG-16 with BN, 27.02% top-1 error without
# SE, 25.22% with. Here 138.37M to 138.60M parameters.
#
#   tools/dist_train.sh configs/se-vgg16bn_imagenet.py 8

_base_ = 'mmpretrain::vgg/vgg16bn_8xb32_in1k.py'

model = dict(
    backbone=dict(
        type='nlse_mm.WithPlugins',
        base='VGG',
        plugins=[
            dict(cfg=dict(type='nlse_mm.SELayer'), after='features.*.activate')
        ]))
