# Mask R-CNN, R50-FPN, 1x, COCO, one block of GCNet's (MMCV's ContextBlock) at the place
# of mask_rcnn_r50_nl.py's non-local block: to compare the two.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# We know of no number for this very setting. DNLNet's authors' code: 40.1 / 36.2, which
# is +1.3 / +1.1 (SyncBN, a head of four convolutions, ratio 1/4).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_gc1.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='ContextBlock', ratio=1 / 16),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
