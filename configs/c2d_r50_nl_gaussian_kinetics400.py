# As c2d_r50_nl_kinetics400.py, with the Gaussian as the pairwise function: no theta and
# phi.
# Non-local paper, table 2a: 72.5 top-1 / 90.2 top-5, baseline 71.8 / 89.7, embedded
# Gaussian 72.7 / 90.5.
#
#   tools/dist_train.sh configs/c2d_r50_nl_gaussian_kinetics400.py 8

_base_ = 'c2d_r50_kinetics400.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet3d',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    mode='gaussian',
                    sub_sample=True,
                    norm_cfg=dict(type='BN3d')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
