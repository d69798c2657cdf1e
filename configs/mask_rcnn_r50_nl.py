# Mask R-CNN, R50-FPN, 1x, COCO, one non-local block before the last block of res4.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# Non-local paper, table 5: 39.0 / 35.5, which is +1.0 / +0.9 over its own baseline.
# DNLNet's authors' code: 39.6 / 35.8, which is +0.8 / +0.7 (SyncBN, a head of four
# convolutions, reduction 4, the block before the addition's ReLU).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_nl.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
