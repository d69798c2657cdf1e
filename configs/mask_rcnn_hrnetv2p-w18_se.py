# Mask R-CNN, HRNetV2p-W18, 1x, COCO, squeeze and excitation on each of the four maps
# that the neck gets; the gates are 1 at the start, as HRNet was trained without them.
# Baseline: 37.7 box AP / 34.2 mask AP (MMDetection).
#
#   tools/dist_train.sh configs/mask_rcnn_hrnetv2p-w18_se.py 8

_base_ = 'mmdet::hrnet/mask-rcnn_hrnetv2p-w18-1x_coco.py'

model = dict(
    backbone=dict(
        type='nlse_mm.WithPlugins',
        base='HRNet',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer', zero_init=True),
                output=index) for index in range(4)  # strides 4, 8, 16 and 32
        ]))
