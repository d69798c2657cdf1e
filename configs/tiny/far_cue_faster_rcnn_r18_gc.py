# As far_cue_faster_rcnn_r18.py, with one ContextBlock of GCNet (MMCV's) in res3. The
# ratio is 1/4: at GCNet's 1/16 these 64 channels would become 4.
#
#   tools/data/make_far_cue.py data/far_cue
#   tools/train.py configs/tiny/far_cue_faster_rcnn_r18_gc.py

_base_ = 'far_cue_faster_rcnn_r18.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='ContextBlock',
                    ratio=1 / 4),
                stages=(False, True),  # res2, res3
                blocks=(-2,),  # the first of the two
                position='after_block')
        ]))
