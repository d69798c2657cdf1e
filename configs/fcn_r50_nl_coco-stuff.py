# FCN, R50, COCO-Stuff 164k, one non-local block before the last block of res4.
# Baseline: the same without the block, configs/fcn_r50_coco-stuff.py.
#
#   tools/dist_train.sh configs/fcn_r50_nl_coco-stuff.py 8

_base_ = './fcn_r50_coco-stuff.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNetV1c',
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    norm_cfg=dict(type='SyncBN')),
                stages=(False, False, True, False),  # res2, res3, res4, res5
                blocks=(-2,),
                position='after_block')
        ]))
