# As keypoint_rcnn_r50.py, with four non-local blocks in the keypoint head and one
# before the last block of res4.
# Baseline: 64.0 keypoint AP (Detectron2's R50-FPN); the Non-local paper has R101 only:
# +1.4 over its own baseline (table 6).
#
#   tools/dist_train.sh configs/keypoint_rcnn_r50_nl4_nl.py 8

_base_ = 'keypoint_rcnn_r50.py'

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
        ]),
    roi_head=dict(
        keypoint_head=dict(
            plugins=[
                dict(
                    cfg=dict(
                        type='nlse_mm.NonLocal2d',
                        sub_sample=True,
                        norm_cfg=dict(type='BN')),
                    after_convs=(1, 3, 5, 7))  # counted from 0
            ])))
