# Mask R-CNN, SE-R50-FPN, 1x, COCO: squeeze and excitation in every block, from
# MMPretrain's ImageNet weights.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_se.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(checkpoint='mmcls://se-resnet50')))
