# C2D, R50, Kinetics-400, one non-local block before the last block of res4: 784
# positions in time and space, 4 x 14 x 14.
# Non-local paper, table 2: 72.7 top-1 / 90.5 top-5, baseline 71.8 / 89.7.
#
#   tools/dist_train.sh configs/c2d_r50_nl_kinetics400.py 8

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
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
