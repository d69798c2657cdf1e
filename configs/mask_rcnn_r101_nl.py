# Mask R-CNN, R101-FPN, 1x, COCO, one non-local block before the last block of res4.
# Baseline: 40.0 box AP / 36.1 mask AP (MMDetection).
# Non-local paper, table 5: 40.8 / 37.1, which is +1.3 / +1.1 over its own baseline.
#
#   tools/dist_train.sh configs/mask_rcnn_r101_nl.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py'

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
