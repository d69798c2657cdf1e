# Keypoint R-CNN, R50-FPN, COCO, as Detectron2's 1x schedule.
# Baseline: 53.6 box AP / 64.0 keypoint AP (Detectron2).
#
#   tools/dist_train.sh configs/keypoint_rcnn_r50.py 8

_base_ = [
    '_base_/keypoint_rcnn_r50.py',
    '_base_/coco_keypoints.py',
    'mmdet::_base_/default_runtime.py',
]

visualizer = dict(type='nlse_mm.KeypointVisualizer')
