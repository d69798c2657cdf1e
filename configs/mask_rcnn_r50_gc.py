# Mask R-CNN, R50-FPN, 1x, COCO, GCNet's global context (MMCV's ContextBlock) in every
# block of res3 to res5, reduction 16: for comparison.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# MMDetection's GCNet: 39.7 / 35.9. GCNet's authors: 38.5 / 35.1, from 37.3 / 34.2.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_gc.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='ContextBlock', ratio=1 / 16),
                stages=(False, True, True, True),  # res2, res3, res4, res5
                position='after_conv3')
        ]))
