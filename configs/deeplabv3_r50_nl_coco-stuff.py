# DeepLabV3, R50, COCO-Stuff 164k, one non-local block before the last block of res4.
# Baseline: 39.38 mIoU (MMSegmentation's DeepLabV3 by the same recipe, 80k steps of 16).
#
#   tools/dist_train.sh configs/deeplabv3_r50_nl_coco-stuff.py 8

_base_ = [
    'mmseg::_base_/models/deeplabv3_r50-d8.py',
    './_base_/coco_stuff164k.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_80k.py',
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
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
        ]),
    decode_head=dict(num_classes=171),
    auxiliary_head=dict(num_classes=171))
