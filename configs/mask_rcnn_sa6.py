# Mask R-CNN on the six layers of 9 heads of "On the Relationship between Self-Attention
# and Convolutional Layers" in place of a ResNet, down-sampled to FPN's strides 4 to 32.
# From scratch: no weights are published, and no number for COCO.
#
#   tools/dist_train.sh configs/mask_rcnn_sa6.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='nlse_mm.SelfAttentionNet',
        channels=(96, 96, 192, 192, 384, 384),
        strides=(4, 1, 2, 1, 2, 2),
        out_indices=(1, 3, 4, 5)),
    neck=dict(in_channels=[96, 192, 384, 384]))
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='AdamW', lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=35))
