# Faster R-CNN, R101-FPN, 2x, COCO: the baseline that the plugins are compared with.
# MMDetection: 39.8 AP. SENet paper, table 7: 39.9 AP / 60.1 AP50.
#
#   tools/dist_train.sh configs/faster_rcnn_r101_2x.py 8

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py'
