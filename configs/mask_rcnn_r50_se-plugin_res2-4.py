# As mask_rcnn_r50_se-plugin.py, in all stages but the last, whose layers have most of
# the new parameters.
# Baseline: 38.2 box AP / 34.7 mask AP (MMDetection).
# The paper has no such number for COCO. On ImageNet the paper lost less than 0.1% of
# top-5 that way.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_se-plugin_res2-4.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        type='nlse_mm.ResNet',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer', zero_init=True),
                stages=(True, True, True, False),  # res2, res3, res4, res5
                position='after_conv3')
        ]))
