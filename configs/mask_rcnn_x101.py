# Mask R-CNN, X101-32x4d-FPN, 1x, COCO: the baseline that the plugins are compared with.
# MMDetection: 41.9 box AP / 37.5 mask AP. The Non-local paper has no X101.
#
#   tools/dist_train.sh configs/mask_rcnn_x101.py 8

_base_ = 'mmdet::mask_rcnn/mask-rcnn_x101-32x4d_fpn_1x_coco.py'
