# SE-Inception-v3 on ImageNet, MMPretrain's recipe: SE after each of the eleven
# Inception modules.
# Baseline: 77.57 top-1 (MMPretrain, weights of torchvision). Paper: BN-Inception, which
# MMPretrain hasn't, 25.38% top-1 error without SE, 24.23% with. 23.83M to 25.50M
# parameters.
#
#   tools/dist_train.sh configs/se-inceptionv3_imagenet.py 8

_base_ = 'mmpretrain::inception_v3/inception-v3_8xb32_in1k.py'

model = dict(
    backbone=dict(
        type='nlse_mm.WithPlugins',
        base='InceptionV3',
        plugins=[
            dict(cfg=dict(type='nlse_mm.SELayer'), after='Mixed_*')
        ]))
