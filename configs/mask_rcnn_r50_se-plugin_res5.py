# As mask_rcnn_r50_se-plugin.py, in res5 only.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO. The paper has no such row for ImageNet either.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_se-plugin_res5.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer', zero_init=True),
                stages=(False, False, False, True),  # res2, res3, res4, res5
                position='after_conv3')
        ]))
