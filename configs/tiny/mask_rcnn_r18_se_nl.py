# As mask_rcnn_r18_se.py, with one non-local block before the last block of res4.
#
#   tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/mask_rcnn_r18_se_nl.py

_base_ = 'mask_rcnn_r18_se.py'

model = dict(
    backbone=dict(
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
