# As keypoint_rcnn_r50.py, with squeeze and excitation in every block, from MMPretrain's
# ImageNet weights.
# Baseline: 53.6 box AP / 64.0 keypoint AP (Detectron2's R50-FPN).
#
#   tools/dist_train.sh configs/keypoint_rcnn_r50_se.py 8

_base_ = 'keypoint_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(checkpoint='mmcls://se-resnet50')))
