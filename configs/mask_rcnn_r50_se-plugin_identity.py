# As mask_rcnn_r50_se-plugin.py, with SE-Identity, on the shortcut.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO. ImageNet top-1 error in the paper, trained with
# SE from the start: 22.20%, standard 22.28%, none 23.30% (tables 14 and 15).
#
#   tools/dist_train.sh configs/mask_rcnn_r50_se-plugin_identity.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer', zero_init=True),
                position='on_identity')
        ]))
