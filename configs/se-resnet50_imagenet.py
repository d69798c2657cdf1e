# SE-ResNet-50 on ImageNet: MMPretrain's own recipe, with our backbone in its place. Its
# published weights have our keys and want its images: 256 on the short edge, bilinear.
# Published: 77.74 top-1, 93.84 top-5 (MMPretrain). Paper: 76.71 (table 2).
#
#   tools/dist_train.sh configs/se-resnet50_imagenet.py 8
#   tools/test.py configs/se-resnet50_imagenet.py mmcls://se-resnet50

_base_ = 'mmpretrain::seresnet/seresnet50_8xb32_in1k.py'

model = dict(backbone=dict(type='nlse_mm.SEResNet'))
