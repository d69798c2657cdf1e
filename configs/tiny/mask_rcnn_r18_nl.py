# As mask_rcnn_r18.py, with one non-local block before the last block of res4.
#
#   tools/train.py configs/tiny/mask_rcnn_r18_nl.py
#   tools/quickstart.sh      which makes the data, trains this and evaluates it

_base_ = 'mask_rcnn_r18.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),  # the first of the two
                position='after_block')
        ]))
