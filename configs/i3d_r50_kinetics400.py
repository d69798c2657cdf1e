# I3D, R50, Kinetics-400, 32 frames of stride 2: conv1 is 5x7x7, and the first 1x1
# convolution is 3x1x1 in res2 and in every other residual block of res3 to res5.
# MMAction2: 73.47 top-1. Non-local paper, table 2f: 73.3 top-1 / 90.7 top-5.
#
#   tools/dist_train.sh configs/i3d_r50_kinetics400.py 8

_base_ = [
    'mmaction::recognition/i3d/i3d_imagenet-pretrained-r50_' +
    '8xb8-32x2x1-100e_kinetics400-rgb.py'
]
