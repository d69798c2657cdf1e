# As far_cue_faster_rcnn_r18.py, with one non-local block in res3, embedded Gaussian,
# without the BN: MMCV's default, a last convolution that starts at zero.
#
#   tools/data/make_far_cue.py data/far_cue
#   tools/train.py configs/tiny/far_cue_faster_rcnn_r18_nl_no-bn.py

_base_ = 'far_cue_faster_rcnn_r18.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    std=0.1),
                stages=(False, True),  # res2, res3
                blocks=(-2,),  # the first of the two
                position='after_block')
        ]))
