# Faster R-CNN, R50-FPN, 2x, COCO: the baseline that the plugins are compared with.
# MMDetection: 38.4 AP. SENet paper, table 7: 38.0 AP / 57.9 AP50.
#
#   tools/dist_train.sh configs/faster_rcnn_r50_2x.py 8

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'
