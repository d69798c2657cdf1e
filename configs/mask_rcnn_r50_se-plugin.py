# Mask R-CNN, R50-FPN, 1x, COCO, an SE layer in every block of a ResNet that was trained
# without: the gates are 1 at the start, as ImageNet weights with SE exist for few
# backbones (mask_rcnn_r50_se.py starts from such).
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_se-plugin.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer', zero_init=True),
                position='after_conv3')
        ]))
