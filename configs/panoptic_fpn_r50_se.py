# Panoptic FPN, SE-R50, 1x, COCO: squeeze and excitation in every block, from
# MMPretrain's ImageNet weights.
# Baseline: 40.2 PQ (MMDetection).
# Its data and metric need panopticapi, which is on GitHub only:
# pip install git+https://github.com/cocodataset/panopticapi.git
#
#   tools/dist_train.sh configs/panoptic_fpn_r50_se.py 8

_base_ = 'mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(
            checkpoint='mmcls://se-resnet50', prefix='backbone.')))
