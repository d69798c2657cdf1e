# As mask_rcnn_r50_gc.py, with a reduction of 4.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# MMDetection's GCNet: 39.9 / 36.0. GCNet's authors: 38.9 / 35.5, from 37.3 / 34.2.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_gc_r4.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='ContextBlock', ratio=1 / 4),
                stages=(False, True, True, True),  # res2, res3, res4, res5
                position='after_conv3')
        ]))
