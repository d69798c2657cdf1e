# Mask R-CNN, R50-FPN, 1x, COCO: the baseline that the plugins are compared with.
# MMDetection: 38.2 box AP / 34.7 mask AP. Non-local paper, table 5: 38.0 / 34.6.
#
#   tools/dist_train.sh configs/mask_rcnn_r50.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
