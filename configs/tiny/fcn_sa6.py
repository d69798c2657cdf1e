# FCN on six layers of self-attention with 9 heads each, no convolution larger than 1x1
# before the head, trained from scratch on tiny COCO's semantic labels.
#
#   python tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/fcn_sa6.py
#   tools/analysis/show_heads.py configs/tiny/fcn_sa6.py work_dirs/fcn_sa6/iter_600.pth

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

# Smaller batches and fewer steps than the convolutional leaves: a step takes longer.
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_iters=600, val_interval=300)
default_hooks = dict(checkpoint=dict(interval=300))
# A centre is a position's distance, of a larger scale than a weight.
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(encoding=dict(lr_mult=5, decay_mult=0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=600)
]
