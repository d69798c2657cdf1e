# As mask_rcnn_r18.py, with squeeze and excitation in every block.
#
#   tools/data/make_tiny_coco.py data/tiny_coco
#   tools/train.py configs/tiny/mask_rcnn_r18_se.py

_base_ = 'mask_rcnn_r18.py'

model = dict(backbone=dict(type='nlse_mm.SEResNet'))
