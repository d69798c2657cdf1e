# As mask_rcnn_r50_gc.py, with R101.
# Baseline: 40.0 box AP / 36.1 mask AP (MMDetection).
# MMDetection's GCNet: 41.3 / 37.2.
#
#   tools/dist_train.sh configs/mask_rcnn_r101_gc.py 8

_base_ = 'mask_rcnn_r101.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='ContextBlock', ratio=1 / 16),
                stages=(False, True, True, True),  # res2, res3, res4, res5
                position='after_conv3')
        ]))
