# Mask R-CNN, R101-FPN, 1x, COCO: the baseline that the plugins are compared with.
# MMDetection: 40.0 box AP / 36.1 mask AP. Non-local paper, table 5: 39.5 / 36.0.
#
#   tools/dist_train.sh configs/mask_rcnn_r101.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py'
