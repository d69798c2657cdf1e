# C2D, R101, Kinetics-400, 32 frames of stride 2: as c2d_r50_kinetics400.py, deeper.
# Non-local paper, table 2: 73.1 top-1 / 91.0 top-5.
# MMAction2 has 74.97 top-1 with 8 frames of stride 8 and no pooling in time.
#
#   tools/dist_train.sh configs/c2d_r101_kinetics400.py 8

_base_ = 'c2d_r50_kinetics400.py'

model = dict(backbone=dict(depth=101, pretrained='torchvision://resnet101'))
