# FCN on six layers of self-attention with 9 heads each, no convolution larger than 1x1
# before the head, trained from scratch on tiny COCO's semantic labels.
#
#   python tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/fcn_sa6.py
#   tools/analysis/show_heads.py configs/tiny/fcn_sa6.py work_dirs/fcn_sa6/iter_800.pth

_base_ = [
    'mmseg::_base_/models/fcn_r50-d8.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/tiny_semantic.py',
]

model = dict(
    data_preprocessor=dict(size=(128, 160)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='nlse_mm.SelfAttentionNet',
        channels=64,
        strides=(4, 1, 1, 1, 1, 1),
        inside=2),
    decode_head=dict(
        in_channels=64,
        in_index=0,
        channels=64,
        num_convs=1,
        concat_input=False,
        kernel_size=1,
        num_classes=7),
    auxiliary_head=None)
