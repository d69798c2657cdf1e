# Faster R-CNN, SE-R50-FPN, 2x, COCO: squeeze and excitation in every block, from
# MMPretrain's ImageNet weights.
# Baseline: 38.4 AP (MMDetection).
# SENet paper, table 7: 40.4, which is +2.4 over its own baseline.
#
#   tools/dist_train.sh configs/faster_rcnn_r50_se_2x.py 8

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(checkpoint='mmcls://se-resnet50')))
