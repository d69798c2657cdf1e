# FCN, narrow R18 up to res4 at stride 8, trained from scratch on tiny COCO's semantic
# labels, with one non-local block before the last block of res4.
#
#   python tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/fcn_r18_nl.py

_base_ = [
    'mmseg::_base_/models/fcn_r50-d8.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/tiny_semantic.py',
]

model = dict(
    data_preprocessor=dict(size=(128, 160)),
    pretrained=None,
    backbone=dict(
        type='nlse_mm.ResNetV1c',
        depth=18,
        num_stages=3,
        out_indices=(0, 1, 2),
        strides=(1, 2, 1),
        dilations=(1, 1, 2),
        stem_channels=32,
        base_channels=32,
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    norm_cfg=dict(type='SyncBN')),
                stages=(False, False, True),  # res2, res3, res4
                blocks=(-2,),
                position='after_block')
        ]),
    decode_head=dict(
        in_channels=128,
        in_index=2,
        channels=64,
        num_classes=7),
    auxiliary_head=None)
