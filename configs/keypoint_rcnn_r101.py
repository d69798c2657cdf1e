# As keypoint_rcnn_r50.py, with R101.
# Baseline: 65.1 keypoint AP (Non-local paper, table 6); Detectron2's, with its 3x
# schedule: 56.4 box AP / 66.1 keypoint AP.
#
#   tools/dist_train.sh configs/keypoint_rcnn_r101.py 8

_base_ = 'keypoint_rcnn_r50.py'

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(
            type='Pretrained', checkpoint='torchvision://resnet101')))
