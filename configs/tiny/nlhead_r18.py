# NLHead, narrow R18 up to res4 at stride 8, trained from scratch on tiny COCO's
# semantic labels.
#
#   python tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/nlhead_r18.py

_base_ = [
    'mmseg::_base_/models/nonlocal_r50-d8.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/tiny_semantic.py',
]

model = dict(
    data_preprocessor=dict(size=(128, 160)),
    pretrained=None,
    backbone=dict(
        depth=18,
        num_stages=3,
        out_indices=(0, 1, 2),
        strides=(1, 2, 1),
        dilations=(1, 1, 2),
        stem_channels=32,
        base_channels=32),
    decode_head=dict(
        type='nlse_mm.NLHead',
        in_channels=128,
        in_index=2,
        channels=64,
        num_classes=7),
    auxiliary_head=None)
