# As mask_rcnn_r50_nl.py, with the pooling before phi and g, as in the authors' code, in
# place of after them, as in the paper.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_nl_pool-first.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    pool_first=True,
                    norm_cfg=dict(type='BN')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
