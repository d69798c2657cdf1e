# As mask_rcnn_r50_nl.py, with the Gaussian as the pairwise function: no theta and phi.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO. On Kinetics the paper has 72.5 top-1, baseline
# 71.8, embedded Gaussian 72.7 (table 2a).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_nl_gaussian.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    mode='gaussian',
                    sub_sample=True,
                    norm_cfg=dict(type='BN')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
