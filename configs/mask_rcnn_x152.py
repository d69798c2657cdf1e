# Mask R-CNN, X152-FPN, 1x, COCO: the baseline that the plugins are compared with.
# Non-local paper, table 5: 44.1 box AP / 39.7 mask AP, with ResNeXt-152 32x8d. No
# OpenMMLab weights exist for that backbone, so this one is 32x4d, as published by
# MMPretrain; MMDetection has no number for it (X101-32x4d: 41.9 / 37.5).
#
#   tools/dist_train.sh configs/mask_rcnn_x152.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_x101-32x4d_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        depth=152,
        init_cfg=dict(
            type='Pretrained', checkpoint='mmcls://resnext152_32x4d')))
