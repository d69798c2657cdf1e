# As c2d_r50_nl_kinetics400.py, with five blocks: after every other block of res3 and
# res4.
# Non-local paper, table 2c: 73.8 top-1 / 91.0 top-5, one block 72.7 / 90.5, baseline
# 71.8 / 89.7.
#
#   tools/dist_train.sh configs/c2d_r50_nl5_kinetics400.py 8

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
                blocks=(1, 3),
                position='after_block'),
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN3d')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(1, 3, 5),
                position='after_block')
        ]))
