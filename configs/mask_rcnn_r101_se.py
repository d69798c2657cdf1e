# Mask R-CNN, SE-R101-FPN, 1x, COCO: squeeze and excitation in every block, from
# MMPretrain's ImageNet weights.
# Baseline: 40.0 box AP / 36.1 mask AP (MMDetection).
#
#   tools/dist_train.sh configs/mask_rcnn_r101_se.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(checkpoint='mmcls://se-resnet101')))
