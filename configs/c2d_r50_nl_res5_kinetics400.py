# As c2d_r50_nl_kinetics400.py, with the block before the last block of res5: 196
# positions, 4 x 7 x 7, where res4 has 784.
# Non-local paper, table 2b: 72.3 top-1 / 90.1 top-5, baseline 71.8 / 89.7, res4
# 72.7 / 90.5.
#
#   tools/dist_train.sh configs/c2d_r50_nl_res5_kinetics400.py 8

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
                stages=(False, False, False, True),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
