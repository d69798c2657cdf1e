# As mask_rcnn_r50_se-plugin.py, in res3 only.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO. ImageNet top-1 error in the paper, trained with
# SE from the start: 23.04%, all stages 22.28%, none 23.30% (table 13).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_se-plugin_res3.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer', zero_init=True),
                stages=(False, True, False, False),  # res2, res3, res4, res5
                position='after_conv3')
        ]))
