# As c2d_r50_nl10_kinetics400.py, with R101: four blocks in res3, after every residual
# one, and six in res4, evenly spread over its 23: the paper says "the corresponding"
# ones.
# Non-local paper, table 2c: 75.1 top-1 / 91.6 top-5, five blocks 75.1 / 91.7, one
# 74.3 / 91.3, baseline 73.1 / 91.0.
#
#   tools/dist_train.sh configs/c2d_r101_nl10_kinetics400.py 8

_base_ = 'c2d_r101_kinetics400.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet3d',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN3d')),
                stages=(False, True, False, False),  # res2, res3, res4, res5
                position='after_block'),
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN3d')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(3, 6, 10, 13, 17, 20),
                position='after_block')
        ]))
