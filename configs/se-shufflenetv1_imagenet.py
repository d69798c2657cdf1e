# SE-ShuffleNetV1 on ImageNet, 1x, three groups, MMPretrain's recipe: SE at the end of
# each branch, before the addition; in a stage's first unit before ReLU and
# concatenation.
# Baseline: 68.13 top-1 (MMPretrain). Paper: the same network, 32.6% top-1 error without
# SE, 31.0% with; 1.8M to 2.4M parameters. Here 1.87M to 2.53M.
#
#   tools/dist_train.sh configs/se-shufflenetv1_imagenet.py 16

_base_ = 'mmpretrain::shufflenet_v1/shufflenet-v1-1x_16xb64_in1k.py'

model = dict(
    backbone=dict(
        type='nlse_mm.WithPlugins',
        base='ShuffleNetV1',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer'),
                after='layers.*.*.g_conv_1x1_expand',
                in_branch=True)
        ]))
