# As c2d_r50_nl5_kinetics400.py, with R101: two blocks in res3 and, as res4 has 23
# residual blocks here, three in res4, after every seventh, as in the authors' code.
# Non-local paper, table 2c: 75.1 top-1 / 91.7 top-5, one block 74.3 / 91.3, baseline
# 73.1 / 91.0.
#
#   tools/dist_train.sh configs/c2d_r101_nl5_kinetics400.py 8

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
                blocks=(1, 3),
                position='after_block'),
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN3d')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(6, 13, 20),
                position='after_block')
        ]))
