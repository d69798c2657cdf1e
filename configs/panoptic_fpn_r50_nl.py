# Panoptic FPN, R50, 1x, COCO, one non-local block before the last block of res4.
# Baseline: 40.2 PQ (MMDetection).
# Its data and metric need panopticapi, which is on GitHub only:
# pip install git+https://github.com/cocodataset/panopticapi.git
#
#   tools/dist_train.sh configs/panoptic_fpn_r50_nl.py 8

_base_ = 'mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py'

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
