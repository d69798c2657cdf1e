# C2D, R50, Kinetics-400, 32 frames of stride 2: the non-local paper's table 1, where no
# convolution sees more than one frame. MMAction2's recipe of I3D without the inflation.
# Non-local paper, table 2: 71.8 top-1 / 89.7 top-5.
# MMAction2's C2D: 73.89 top-1 with 8 frames of stride 8, 74.97 with 16 of stride 4, and
# neither conv1 nor pool1 with a stride in time.
#
#   tools/dist_train.sh configs/c2d_r50_kinetics400.py 8

_base_ = [
    'mmaction::recognition/i3d/i3d_imagenet-pretrained-r50_' +
    '8xb8-32x2x1-100e_kinetics400-rgb.py'
]

model = dict(backbone=dict(inflate=0, conv1_kernel=(1, 7, 7)))
