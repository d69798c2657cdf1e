# Mask R-CNN, SE-X101-32x4d-FPN, 1x, COCO: squeeze and excitation in every block, from
# the SENet authors' own ImageNet weights, which timm has ported from Caffe: their
# pooling rounds sizes up without padding.
# Baseline: 41.9 box AP / 37.5 mask AP (MMDetection).
#
#   tools/dist_train.sh configs/mask_rcnn_x101_se.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_x101-32x4d_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNeXt',
        pool_ceil_mode=True,
        init_cfg=dict(checkpoint='timm://legacy_seresnext101_32x4d.in1k')))
