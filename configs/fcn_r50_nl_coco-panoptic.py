# FCN, R50, COCO panoptic's 133 classes as semantic ones, 80k steps of 16 crops of 512 x
# 512, one non-local block before the last block of res4.
# Baseline: fcn_r50_coco-panoptic.py. Nobody has published a number.
#
#   python tools/data/panoptic_to_semantic.py data/coco
#   tools/dist_train.sh configs/fcn_r50_nl_coco-panoptic.py 8

_base_ = [
    'mmseg::_base_/models/fcn_r50-d8.py',
    './_base_/coco_panoptic_semantic.py',
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
    decode_head=dict(num_classes=133),
    auxiliary_head=dict(num_classes=133))
