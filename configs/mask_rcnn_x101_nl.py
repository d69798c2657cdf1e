# Mask R-CNN, X101-32x4d-FPN, 1x, COCO, one non-local block before the last block of
# res4.
# Baseline: 41.9 box AP / 37.5 mask AP (MMDetection).
# The paper has no X101.
#
#   tools/dist_train.sh configs/mask_rcnn_x101_nl.py 8

_base_ = 'mask_rcnn_x101.py'

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
