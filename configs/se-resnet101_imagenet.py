# SE-ResNet-101 on ImageNet: MMPretrain's own recipe, with our backbone in its place.
# Its published weights have our keys and want its images: 256 on the short edge,
# bilinear.
# Published: 78.26 top-1, 94.07 top-5 (MMPretrain). Paper: 77.62 (table 2).
#
#   tools/dist_train.sh configs/se-resnet101_imagenet.py 8
#   tools/test.py configs/se-resnet101_imagenet.py mmcls://se-resnet101

_base_ = 'mmpretrain::seresnet/seresnet101_8xb32_in1k.py'

model = dict(backbone=dict(type='nlse_mm.SEResNet'))
