# As mask_rcnn_r18.py, with a narrow HRNet and its neck instead, and squeeze and
# excitation on each of its maps.
#
#   tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/mask_rcnn_hrnet_se.py

_base_ = 'mask_rcnn_r18.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='nlse_mm.WithPlugins',
        base='HRNet',
        norm_eval=False,
        extra=dict(
            stage1=dict(
                num_modules=1, num_branches=1, block='BASIC',
                num_blocks=(1, ), num_channels=(32, )),
            stage2=dict(
                num_modules=1, num_branches=2, block='BASIC',
                num_blocks=(1, 1), num_channels=(16, 32)),
            stage3=dict(
                num_modules=1, num_branches=3, block='BASIC',
                num_blocks=(1, 1, 1), num_channels=(16, 32, 64)),
            stage4=dict(
                num_modules=1, num_branches=4, block='BASIC',
                num_blocks=(1, 1, 1, 1), num_channels=(16, 32, 64, 128))),
        plugins=[
            dict(cfg=dict(type='nlse_mm.SELayer'), output=index)
            for index in range(4)  # strides 4, 8, 16 and 32
        ]),
    neck=dict(
        _delete_=True,
        type='HRFPN',
        in_channels=[16, 32, 64, 128],
        out_channels=64,
        num_outs=4,
        norm_cfg=dict(type='BN')))
