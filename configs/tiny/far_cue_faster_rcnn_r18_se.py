# As far_cue_faster_rcnn_r18.py, with squeeze and excitation in every block.
#
#   tools/data/make_far_cue.py data/far_cue
#   tools/train.py configs/tiny/far_cue_faster_rcnn_r18_se.py

_base_ = 'far_cue_faster_rcnn_r18.py'

model = dict(backbone=dict(type='nlse_mm.SEResNet'))
