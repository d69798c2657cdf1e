# As mask_rcnn_r50_nl.py, with the block before the last block of res2: 67,200 positions
# of an 800 x 1344 image, where res4 has 4,200.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO. On Kinetics the paper has 72.7 top-1, baseline
# 71.8, res4 72.7 (table 2b).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_nl_res2.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN')),
                stages=(True, False, False, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
