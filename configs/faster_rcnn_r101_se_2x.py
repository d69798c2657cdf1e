# Faster R-CNN, SE-R101-FPN, 2x, COCO: squeeze and excitation in every block, from
# MMPretrain's ImageNet weights.
# Baseline: 39.8 AP (MMDetection).
# SENet paper, table 7: 41.9, which is +2.0 over its own baseline.
#
#   tools/dist_train.sh configs/faster_rcnn_r101_se_2x.py 8

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(checkpoint='mmcls://se-resnet101')))
