# Mask R-CNN, SENet-154-FPN, 1x, COCO: the network that won ILSVRC 2017, from its
# authors' ImageNet weights, which timm has ported from Caffe: their pooling rounds
# sizes up without padding.
# Baseline: 42.8 box AP / 38.4 mask AP (MMDetection's X101-64x4d, the nearest backbone).
# PaddleDetection: 44.0 / 38.7 with SENet154-vd, 1.44x.
#
#   tools/dist_train.sh configs/mask_rcnn_senet154.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SENet',
        depth=154,
        pool_ceil_mode=True,
        init_cfg=dict(checkpoint='timm://legacy_senet154.in1k')))
