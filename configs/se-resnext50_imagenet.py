# SE-ResNeXt-50 32x4d on ImageNet: MMPretrain's own recipe, with our backbone in its
# place.
# Published: MMPretrain has none; timm 79.08 top-1 for the authors' weights, which
# legacy-se-resnext50_imagenet.py takes. Paper: 78.90 (table 2).
#
#   tools/dist_train.sh configs/se-resnext50_imagenet.py 8

_base_ = 'mmpretrain::seresnet/seresnext50-32x4d_8xb32_in1k.py'

model = dict(
    backbone=dict(_delete_=True, type='nlse_mm.SEResNeXt', depth=50))
