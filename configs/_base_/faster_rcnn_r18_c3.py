# Faster R-CNN on the first two stages of R18 at half width, without a neck: one map of
# stride 8, whose cells see 99 pixels, 49 to each side. For squares of 9 to 16 pixels,
# from random weights.

_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(
        depth=18,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1, ),
        base_channels=32,
        frozen_stages=-1,
        norm_eval=False,
        # Without weights a residual branch that starts at zero takes hundreds of steps
        # to say anything, and so does the SE layer in it.
        zero_init_residual=False,
        init_cfg=None),
    neck=None,
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[1.1, 1.4, 1.8], ratios=[1.0], strides=[8])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=64,
            featmap_strides=[8],
            roi_layer=dict(output_size=4)),
        bbox_head=dict(
            in_channels=64,
            roi_feat_size=4,
            fc_out_channels=256,
            num_classes=2,
            reg_class_agnostic=True)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=300, max_per_img=100),
        rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=50)))
