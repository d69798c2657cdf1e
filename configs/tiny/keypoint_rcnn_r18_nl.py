# Keypoint R-CNN, R18-FPN at half width, narrow heads, one non-local block in the
# keypoint head, trained from scratch on stick figures.
#
#   tools/data/make_tiny_people.py data/tiny_people
#   tools/dist_train.sh configs/tiny/keypoint_rcnn_r18_nl.py 2

_base_ = [
    '../_base_/keypoint_rcnn_r50.py',
    '../_base_/tiny_people.py',
    'mmdet::_base_/default_runtime.py',
]

visualizer = dict(type='nlse_mm.KeypointVisualizer')
model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None),
    neck=dict(
        in_channels=[32, 64, 128, 256],
        out_channels=64,
        num_outs=4,
        norm_cfg=dict(type='BN')),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
        keypoint_roi_extractor=dict(out_channels=64),
        keypoint_head=dict(
            num_convs=4,
            in_channels=64,
            conv_out_channels=64,
            plugins=[
                dict(
                    cfg=dict(type='nlse_mm.NonLocal2d', norm_cfg=dict(type='BN')),
                    after_convs=(1,))
            ])),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=100),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5))),
    test_cfg=dict(
        rpn=dict(nms_pre=300, max_per_img=50), rcnn=dict(max_per_img=20)))
