# As far_cue_c2d_r18.py, with one non-local block in res3, over space and time: dot
# product.
#
#   tools/data/make_far_cue_video.py data/far_cue_video
#   tools/dist_train.sh configs/tiny/far_cue_c2d_r18_nl_dot-product.py 2

_base_ = 'far_cue_c2d_r18.py'

model = dict(
    backbone=dict(
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal3d',
                    mode='dot_product',
                    std=0.1,  # 0.01 is for a trained backbone's activations
                    norm_cfg=dict(type='BN3d')),
                stages=(False, True),  # res2, res3
                blocks=(-2, ),  # the first of the two
                position='after_block')
        ]))
