# As keypoint_rcnn_r101.py, with four non-local blocks in the keypoint head, one after
# every second convolution.
# Paper: 66.0 keypoint AP (Non-local, table 6), +0.9 over its own baseline.
#
#   tools/dist_train.sh configs/keypoint_rcnn_r101_nl4.py 8

_base_ = 'keypoint_rcnn_r101.py'

model = dict(
    roi_head=dict(
        keypoint_head=dict(
            plugins=[
                dict(
                    cfg=dict(
                        type='nlse_mm.NonLocal2d',
                        sub_sample=True,
                        norm_cfg=dict(type='BN')),
                    after_convs=(1, 3, 5, 7))  # counted from 0
            ])))
