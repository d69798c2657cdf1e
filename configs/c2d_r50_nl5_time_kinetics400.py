# As c2d_r50_nl5_kinetics400.py, with the frames of its own place as a query's keys:
# four, with nothing to sub-sample.
# Non-local paper, table 2d: 73.1 top-1 / 90.5 top-5, spacetime 73.8 / 91.0, baseline
# 71.8 / 89.7.
#
#   tools/dist_train.sh configs/c2d_r50_nl5_time_kinetics400.py 8

_base_ = 'c2d_r50_kinetics400.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet3d',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    axis='time',
                    norm_cfg=dict(type='BN3d')),
                stages=(False, True, False, False),  # res2, res3, res4, res5
                blocks=(1, 3),
                position='after_block'),
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    axis='time',
                    norm_cfg=dict(type='BN3d')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(1, 3, 5),
                position='after_block')
        ]))
