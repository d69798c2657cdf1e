# As c2d_r50_nl_kinetics400.py, with ten blocks: after every block of res3 and res4.
# Non-local paper, table 2c: 74.3 top-1 / 91.2 top-5, five blocks 73.8 / 91.0, one
# 72.7 / 90.5, baseline 71.8 / 89.7.
#
#   tools/dist_train.sh configs/c2d_r50_nl10_kinetics400.py 8

_base_ = 'c2d_r50_kinetics400.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet3d',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN3d')),
                stages=(False, True, True, False),  # res2, res3, res4, res5
                position='after_block')
        ]))
