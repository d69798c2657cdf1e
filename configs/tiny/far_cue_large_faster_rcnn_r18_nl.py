# As far_cue_large_faster_rcnn_r18.py, with one non-local block in res3.
#
#   tools/data/make_far_cue.py data/far_cue_large --cue large
#   tools/train.py configs/tiny/far_cue_large_faster_rcnn_r18_nl.py

_base_ = 'far_cue_large_faster_rcnn_r18.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    std=0.1,  # 0.01 is for a trained backbone's activations
                    norm_cfg=dict(type='BN')),
                stages=(False, True),  # res2, res3
                blocks=(-2,),  # the first of the two
                position='after_block')
        ]))
