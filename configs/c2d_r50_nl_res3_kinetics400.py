# As c2d_r50_nl_kinetics400.py, with the block before the last block of res3: 3,136
# positions, 4 x 28 x 28, where res4 has 784.
# Non-local paper, table 2b: 72.9 top-1 / 90.4 top-5, baseline 71.8 / 89.7, res4
# 72.7 / 90.5.
#
#   tools/dist_train.sh configs/c2d_r50_nl_res3_kinetics400.py 8

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
                stages=(False, True, False, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
