# Mask R-CNN, X152-FPN, 1x, COCO, one non-local block before the last block of res4.
# Baseline: the same without the block, configs/mask_rcnn_x152.py.
# Non-local paper, table 5, ResNeXt-152 32x8d (here 32x4d): 45.0 box AP / 40.3 mask AP,
# which is +0.9 / +0.6 over its own baseline.
#
#   tools/dist_train.sh configs/mask_rcnn_x152_nl.py 8

_base_ = './mask_rcnn_x152.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNeXt',
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
