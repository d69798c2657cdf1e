# As mask_rcnn_r18.py, with a narrow Swin Transformer instead, and one non-local block
# on its map of stride 16.
#
#   tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/mask_rcnn_swin_nl.py

_base_ = 'mask_rcnn_r18.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='nlse_mm.WithPlugins',
        base='SwinTransformer',
        embed_dims=32,  # the maps have 32, 64, 128 and 256 channels, as R18's here
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 4, 8),
        drop_path_rate=0.0,
        plugins=[
            dict(
                cfg=dict(
                    type='nlse_mm.NonLocal2d',
                    sub_sample=True,
                    norm_cfg=dict(type='BN')),
                output=2)  # the maps have strides 4, 8, 16 and 32
        ]))
